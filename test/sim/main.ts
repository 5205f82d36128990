import { availableParallelism } from "node:os";
import { join } from "node:path";
import { huntAll, range } from "./hunt-all.ts";
import { listMarks } from "./marks.ts";
import { findMutation, MUTATIONS } from "./mutations.ts";
import { parseRunOptions, type RunOptions } from "./run-options.ts";
import type { SeedResult } from "./run-seed.ts";
import { shortcomingsOf } from "./run-shortcomings.ts";
import { SeedPool } from "./seed-pool.ts";
import { addCounts, type Counts } from "./tally.ts";

/** Of a run that does not say how many. */
const SEEDS = 1_000;

/** `npm run sim`: see `RunOptions`. Exits with 1 on a violation, if a planted bug was not found, or if a long run has shown too little. */
const options = parseRunOptions(process.argv.slice(2), availableParallelism());
const isGood = options.mutations ? await huntMutations(options) : await runSeeds(options);
process.exitCode = isGood ? 0 : 1;

async function runSeeds({ seed, first, seeds, mutation, jobs, secondsMax }: RunOptions): Promise<boolean> {
  const isReplay = seed !== null;
  const pool = new SeedPool({ jobs: isReplay ? 1 : jobs, mutation });
  const results: SeedResult[] = [];
  const reached = new Set<string>();
  const began = performance.now();
  const wanted = isReplay ? [seed] : range(first, seeds ?? SEEDS);
  try {
    await pool.run(wanted, isReplay, ({ result, marks }) => {
      results.push(result);
      for (const mark of marks) reached.add(mark);
      if (result.violation !== null) console.log(`seed ${result.seed}: VIOLATION: ${result.violation}`);
      return performance.now() - began < secondsMax * 1000;
    });
  } finally {
    pool.close();
  }
  const seconds = (performance.now() - began) / 1000;
  const marks = listMarks(join(import.meta.dirname, "..", ".."));
  const missedMarks = marks.filter((mark) => !reached.has(mark));
  const requests = addCounts(results.map((result) => result.requests));
  console.log(describeCounts(requests));
  if (isReplay)
    for (const result of results)
      console.log(JSON.stringify({ ...result, violation: result.violation !== null }));
  const shortcomings = shortcomingsOf({ seeds: results.length, requests, missedMarks });
  // A planted bug makes of a run what it likes.
  if (mutation === null) for (const shortcoming of shortcomings) console.log(`TOO LITTLE: ${shortcoming}`);
  console.log(summarize(results, seconds, marks, missedMarks));
  return (
    results.every(({ violation }) => violation === null) && (mutation !== null || shortcomings.length === 0)
  );
}

function describeCounts(requests: Counts): string {
  const parts = Object.entries(requests).map(([kind, { asked, answered }]) => `${kind} ${answered}/${asked}`);
  return `answered: ${parts.join(", ")}`;
}

function summarize(
  results: readonly SeedResult[],
  seconds: number,
  marks: readonly string[],
  missed: readonly string[],
): string {
  const sum = (of: (result: SeedResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const steps = sum((result) => result.steps);
  const violations = results.filter(({ violation }) => violation !== null).length;
  const undecided = results.filter(({ failure }) => failure === "undecided").length;
  return [
    `${results.length} seeds, ${violations} violations, ${undecided} of them undecided`,
    `${steps} steps, ${Math.round(steps / seconds)} steps/s`,
    `${sum((result) => result.operations)} operations, ${sum((result) => result.commits)} commits, ${sum((result) => result.elections)} elections`,
    `${Math.round(sum((result) => result.virtualMs) / 3.6e6)} h simulated in ${seconds.toFixed(1)} s`,
    `marks ${marks.length - missed.length}/${marks.length}${missed.length > 0 ? `, never reached: ${missed.join("; ")}` : ""}`,
  ].join(", ");
}

async function huntMutations({ mutation, first, seeds, jobs }: RunOptions): Promise<boolean> {
  const mutations = mutation === null ? MUTATIONS : [findMutation(mutation)];
  const began = performance.now();
  const onLine = (line: string) => console.log(line);
  const survivors = await huntAll({ mutations, first, seeds, jobs, onLine });
  const seconds = Math.round((performance.now() - began) / 1000);
  const end = survivors.length === 0 ? "" : `: ${survivors.join("; ")}`;
  console.log(
    `${mutations.length} mutations, ${mutations.length - survivors.length} caught, ${survivors.length} survived in ${seconds} s${end}`,
  );
  return survivors.length === 0;
}
