import { parseArgs } from "node:util";

export interface RunOptions {
  readonly first: number;
  /** How many; null: the usual number, or for each planted bug its own. */
  readonly seeds: number | null;
  /** Only this seed, with its log. */
  readonly seed: number | null;
  /** The name of the bug to plant. */
  readonly mutation: string | null;
  /** Plant one after the other; each must be caught. */
  readonly mutations: boolean;
  readonly jobs: number;
  /** No seed is begun after this time. */
  readonly secondsMax: number;
}

const USAGE =
  "npm run sim -- [--seeds N] [--first K] [--seed N] [--mutation NAME] [--mutations] [--jobs J] [--seconds S]";

export function parseRunOptions(args: readonly string[], jobs: number): RunOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: "string" },
      first: { type: "string", default: "1" },
      seed: { type: "string" },
      mutation: { type: "string" },
      mutations: { type: "boolean", default: false },
      seconds: { type: "string" },
      jobs: { type: "string", default: String(jobs) },
    },
  });
  return {
    first: parseCount(values.first),
    seeds: values.seeds === undefined ? null : parseCount(values.seeds),
    seed: values.seed === undefined ? null : parseCount(values.seed),
    mutation: values.mutation ?? null,
    mutations: values.mutations,
    jobs: parseCount(values.jobs),
    secondsMax: values.seconds === undefined ? Number.POSITIVE_INFINITY : parseCount(values.seconds),
  };
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 0)
    throw new Error(`"${text}" is no whole number. Usage: ${USAGE}`);
  return count;
}
