import t from "tap";
import { walk } from "./walk.ts";

/** RAFT_SEED=n replays one seed and prints what happened; RAFT_SEEDS=n takes more of them. */
const SEED = process.env["RAFT_SEED"];
const SEEDS = Number(process.env["RAFT_SEEDS"] ?? 300);
const TRACE_LINES = 60;

t.test("stays safe through a random walk of trouble, and recovers from it", async (t) => {
  const seeds = SEED === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed) : [Number(SEED)];
  const results = seeds.map((seed) => {
    try {
      return walk(seed, SEED === undefined ? undefined : (line) => console.error(line));
    } catch (error) {
      throw new Error(`seed ${seed} (replay it with RAFT_SEED=${seed}), ending with\n${traceOf(seed)}`, {
        cause: error,
      });
    }
  });
  const total = (count: (result: (typeof results)[number]) => number) =>
    results.reduce((sum, result) => sum + count(result), 0);
  t.comment(
    `${results.length} seeds: ${total(({ elections }) => elections)} elections, ` +
      `${total(({ committed }) => committed)} entries, ${total(({ confirmedReads }) => confirmedReads)} reads, ` +
      `${total(({ crashes }) => crashes)} crashes, ${total(({ changes }) => changes)} changes of members, ` +
      `${total(({ restores }) => restores)} snapshots, slowest recovery ` +
      `${Math.round(Math.max(...results.map(({ recoveryMs }) => recoveryMs)))} ms`,
  );
  // A walk that gets nowhere finds nothing.
  t.ok(total(({ elections }) => elections) > 2 * results.length);
  t.ok(total(({ changes }) => changes) > results.length);
  t.ok(total(({ restores }) => restores) > results.length);
  t.ok(total(({ committed }) => committed) > 20 * results.length);
  t.ok(total(({ confirmedReads }) => confirmedReads) > 8 * results.length);
});

function traceOf(seed: number): string {
  const lines: string[] = [];
  try {
    walk(seed, (line) => {
      lines.push(line);
      if (lines.length > TRACE_LINES) lines.shift();
    });
  } catch {
    return lines.join("\n");
  }
  return "nothing: it does not fail again";
}
