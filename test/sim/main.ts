import { availableParallelism } from "node:os";
import { join } from "node:path";
import { listMarks } from "./marks.ts";
import type { Mutation } from "./mutation.ts";
import { findMutation, MUTATIONS } from "./mutations.ts";
import { parseRunOptions, type RunOptions } from "./run-options.ts";
import type { SeedResult } from "./run-seed.ts";
import { SeedPool } from "./seed-pool.ts";

/** `npm run sim`: see `RunOptions`. Exits with 1 on a violation, or if a planted bug was not found. */
const options = parseRunOptions(process.argv.slice(2), availableParallelism());
const isGood = options.mutations ? await huntAll() : await runSeeds(options);
process.exitCode = isGood ? 0 : 1;

async function runSeeds({ seed, first, seeds, mutation, jobs, secondsMax }: RunOptions): Promise<boolean> {
  const isReplay = seed !== null;
  const pool = new SeedPool({ jobs: isReplay ? 1 : jobs, mutation });
  const results: SeedResult[] = [];
  const reached = new Set<string>();
  const began = performance.now();
  const wanted = isReplay ? [seed] : range(first, seeds);
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
  const violations = results.filter(({ violation }) => violation !== null).length;
  const seconds = (performance.now() - began) / 1000;
  if (isReplay)
    for (const result of results)
      console.log(JSON.stringify({ ...result, violation: result.violation !== null }));
  console.log(summarize(results, violations, seconds, reached));
  return violations === 0;
}

function summarize(
  results: readonly SeedResult[],
  violations: number,
  seconds: number,
  reached: ReadonlySet<string>,
): string {
  const sum = (of: (result: SeedResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  const steps = sum((result) => result.steps);
  const marks = listMarks(join(import.meta.dirname, "..", ".."));
  const missed = marks.filter((mark) => !reached.has(mark));
  return [
    `${results.length} seeds, ${violations} violations, ${steps} steps, ${Math.round(steps / seconds)} steps/s`,
    `${sum((result) => result.operations)} operations, ${sum((result) => result.commits)} commits, ${sum((result) => result.elections)} elections`,
    `${Math.round(sum((result) => result.virtualMs) / 3.6e6)} h simulated in ${seconds.toFixed(1)} s`,
    `marks ${marks.length - missed.length}/${marks.length}${missed.length > 0 ? `, never reached: ${missed.join("; ")}` : ""}`,
  ].join(", ");
}

async function huntAll(): Promise<boolean> {
  const chosen = options.mutation === null ? MUTATIONS : [findMutation(options.mutation)];
  let survivors = 0;
  for (const mutation of chosen) {
    const caught = await hunt(mutation);
    if (caught === null) survivors += 1;
    const outcome =
      caught === null ? "SURVIVED" : `caught by seed ${caught.seed}: ${caught.violation?.split("\n")[0]}`;
    console.log(`${mutation.name} (within ${mutation.seeds} seeds): ${outcome}`);
  }
  console.log(`${chosen.length} mutations, ${chosen.length - survivors} caught, ${survivors} survived`);
  return survivors === 0;
}

/** The seed that caught it, of those that it must be caught by. */
async function hunt(mutation: Mutation): Promise<SeedResult | null> {
  const pool = new SeedPool({ jobs: options.jobs, mutation: mutation.name });
  let caught: SeedResult | null = null;
  try {
    await pool.run(range(1, mutation.seeds), false, ({ result }) => {
      if (result.violation !== null) caught = result;
      return result.violation === null;
    });
  } finally {
    pool.close();
  }
  return caught;
}

function* range(first: number, count: number): Iterable<number> {
  for (let seed = first; seed < first + count; seed += 1) yield seed;
}
