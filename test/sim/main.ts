import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describeHunt, hunt } from "./hunt.ts";
import { listMarks } from "./marks.ts";
import { findMutation, MUTATIONS } from "./mutations.ts";
import { parseRunOptions, type RunOptions } from "./run-options.ts";
import type { SeedResult } from "./run-seed.ts";
import { SeedPool } from "./seed-pool.ts";

/** Of a run that does not say how many. */
const SEEDS = 1_000;

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
    `${results.filter(({ failure }) => failure === "undecided").length} of them undecided, ${sum((result) => result.operations)} operations, ${sum((result) => result.commits)} commits, ${sum((result) => result.elections)} elections`,
    `${Math.round(sum((result) => result.virtualMs) / 3.6e6)} h simulated in ${seconds.toFixed(1)} s`,
    `marks ${marks.length - missed.length}/${marks.length}${missed.length > 0 ? `, never reached: ${missed.join("; ")}` : ""}`,
  ].join(", ");
}

async function huntAll(): Promise<boolean> {
  const { mutation: name, first, seeds, jobs } = options;
  const chosen = name === null ? MUTATIONS : [findMutation(name)];
  const control = new SeedPool({ jobs: 1, mutation: null });
  const survivors: string[] = [];
  const began = performance.now();
  try {
    for (const mutation of chosen) {
      const count = seeds ?? mutation.seeds;
      const result = await hunt(mutation, { seeds: range(first, count), jobs, control });
      if (result.caught === null) survivors.push(mutation.name);
      for (const line of describeHunt(mutation, count, result)) console.log(line);
    }
  } finally {
    control.close();
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  const end = survivors.length === 0 ? "" : `: ${survivors.join("; ")}`;
  console.log(
    `${chosen.length} mutations, ${chosen.length - survivors.length} caught, ${survivors.length} survived in ${seconds} s${end}`,
  );
  return survivors.length === 0;
}

function* range(first: number, count: number): Generator<number, undefined> {
  for (let seed = first; seed < first + count; seed += 1) yield seed;
}
