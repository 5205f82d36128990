import { describeHunt, hunt } from "./hunt.ts";
import type { Mutation } from "./mutation.ts";
import { SeedPool } from "./seed-pool.ts";

export interface HuntAllOptions {
  readonly mutations: readonly Mutation[];
  /** Where each hunt begins. */
  readonly first: number;
  /** Null: each bug has its own number of seeds. */
  readonly seeds: number | null;
  /** So many seeds run at once. */
  readonly jobs: number;
  readonly onLine: (line: string) => void;
}

/** Hunts for planted bugs, several at once, and tells of each as it is caught. Resolves with the names of those that survived. */
export async function huntAll(options: HuntAllOptions): Promise<readonly string[]> {
  const { mutations, first, jobs, onLine } = options;
  // The rarest first: else the last hunt is the longest, and runs alone.
  const rest = [...mutations].sort((one, other) => other.seeds - one.seeds).values();
  const hunts = Math.min(jobs, mutations.length);
  const jobsEach = Math.max(1, Math.floor(jobs / hunts));
  const survivors: string[] = [];
  const work = async (): Promise<void> => {
    const control = new SeedPool({ jobs: 1, mutation: null });
    try {
      for (const mutation of rest) {
        const count = options.seeds ?? mutation.seeds;
        const result = await hunt(mutation, { seeds: range(first, count), jobs: jobsEach, control });
        if (result.caught === null) survivors.push(mutation.name);
        for (const line of describeHunt(mutation, count, result)) onLine(line);
      }
    } finally {
      control.close();
    }
  };
  await Promise.all(Array.from({ length: hunts }, work));
  return survivors;
}

export function* range(first: number, count: number): Generator<number, undefined> {
  for (let seed = first; seed < first + count; seed += 1) yield seed;
}
