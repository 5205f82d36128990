import { t } from "tap";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { LogPosition } from "../../agent/raft/types.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import { commands, hardState, openLog, reopen } from "../log/log-fixture.ts";

/** A log of five entries of term 1, two of them committed, next to a store that was given a snapshot of `installed`. */
async function alignTo(installed: LogPosition | null) {
  const before = new MemoryDirectory();
  const { log: writing } = await openLog(before);
  await writing.append({ entries: commands(1, 5, 1), hardState: hardState(1, "a", 2) });
  const directory = before.kill();
  const { log, recovered } = await openLog(directory);
  let finished = 0;
  const store = {
    pendingInstall: installed,
    finishInstall: async () => {
      finished += 1;
    },
  };
  const aligned = await alignLog({ log, store, recovered });
  // A power cut right after: what was returned is what the next process finds.
  const found = (await reopen(directory)).recovered;
  return { aligned, found, finished };
}

t.test("alignLog(): a snapshot that ends in the log leaves what stands behind it", async (t) => {
  const { aligned, found, finished } = await alignTo({ index: 3, term: 1 });
  t.strictSame(aligned.base, { index: 3, term: 1 });
  t.strictSame(
    aligned.entries.map(({ index }) => index),
    [4, 5],
  );
  t.strictSame(aligned.hardState, hardState(1, "a", 3));
  t.match(found, aligned);
  t.equal(finished, 1);
});

t.test("alignLog(): a snapshot of another history replaces the log, and its term is entered", async (t) => {
  for (const installed of [
    { index: 4, term: 3 },
    { index: 90, term: 3 },
  ]) {
    const { aligned, found, finished } = await alignTo(installed);
    t.strictSame(aligned, { base: installed, entries: [], hardState: hardState(3, null, installed.index) });
    t.match(found, { base: installed, hardState: aligned.hardState });
    t.equal(found.entries.length, 0);
    t.equal(finished, 1);
  }
});

t.test("alignLog(): without an installation nothing changes", async (t) => {
  const { aligned, found, finished } = await alignTo(null);
  t.equal(aligned.entries.length, 5);
  t.strictSame(found.base, { index: 0, term: 0 });
  t.equal(finished, 0);
});
