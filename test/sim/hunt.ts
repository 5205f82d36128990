import type { Mutation } from "./mutation.ts";
import type { SeedResult } from "./run-seed.ts";
import { SeedPool } from "./seed-pool.ts";

/** How the search for a planted bug has ended. */
export interface HuntResult {
  /** Null: it survived. */
  readonly caught: SeedResult | null;
  /** Seeds that failed, and why that says nothing of the bug. */
  readonly dismissed: readonly string[];
}

export interface HuntOptions {
  /** It must be caught by one of these. */
  readonly seeds: Iterator<number, undefined>;
  readonly jobs: number;
  /** Runs the agent as it is. */
  readonly control: SeedPool;
}

export async function hunt(mutation: Mutation, options: HuntOptions): Promise<HuntResult> {
  const { jobs, control } = options;
  const pool = new SeedPool({ jobs, mutation: mutation.name });
  const seeds = { [Symbol.iterator]: () => options.seeds };
  const dismissed: string[] = [];
  try {
    for (;;) {
      const failed: SeedResult[] = [];
      await pool.run(seeds, false, ({ result }) => {
        if (result.violation !== null) failed.push(result);
        return result.violation === null;
      });
      if (failed.length === 0) return { caught: null, dismissed };
      for (const result of failed.sort((one, other) => one.seed - other.seed)) {
        const reason = dismiss(mutation, result, await runOne(control, result.seed));
        if (reason === null) return { caught: result, dismissed };
        dismissed.push(`seed ${result.seed} does not count, ${reason}: ${headOf(result)}`);
      }
    }
  } finally {
    pool.close();
  }
}

/** Why a seed that failed with the bug, and did or did not without it, proves nothing; null if it does. */
export function dismiss(
  { stops = false }: Pick<Mutation, "stops">,
  planted: Pick<SeedResult, "failure">,
  control: Pick<SeedResult, "violation">,
): string | null {
  if (planted.failure === "program-error") return "what was planted does not run";
  if (planted.failure === "undecided") return "nobody knows whether it did wrong";
  if (planted.failure === "stuck" && !stops) return "this bug is to do wrong, not to stop the cluster";
  return control.violation === null ? null : "it fails without the bug as well";
}

export function describeHunt({ name }: Mutation, seeds: number, result: HuntResult): string[] {
  const { caught, dismissed } = result;
  const outcome = caught === null ? "SURVIVED" : `caught by seed ${caught.seed}: ${headOf(caught)}`;
  return [`${name} (within ${seeds} seeds): ${outcome}`, ...dismissed.map((line) => `  ${line}`)];
}

async function runOne(pool: SeedPool, seed: number): Promise<SeedResult> {
  const results: SeedResult[] = [];
  await pool.run([seed], false, ({ result }) => results.push(result) > 0);
  const [only] = results;
  if (only === undefined) throw new Error(`seed ${seed} was not run`);
  return only;
}

function headOf({ violation }: SeedResult): string {
  return violation?.split("\n")[0] ?? "";
}
