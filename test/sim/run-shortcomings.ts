import type { Counts, RequestKind } from "./tally.ts";

/** From so many seeds on, every mark is to be reached. */
export const SEEDS_OF_ALL_MARKS = 10_000;
/** From so many seeds on, the requests of each kind are counted: fewer may happen to draw none. */
export const SEEDS_OF_ALL_REQUESTS = 200;

/** Of a kind, at least: answered of those that were asked, and in the mean of one run. */
interface Minimum {
  readonly share: number;
  readonly perSeed: number;
}

/** About half of what 200 seeds showed: chance does not come so low, and a kind that is broken does. */
const MINIMA: Readonly<Record<RequestKind, Minimum>> = {
  write: { share: 0.4, perSeed: 40 },
  "compare-and-set": { share: 0.4, perSeed: 16 },
  "write of a session": { share: 0.4, perSeed: 50 },
  session: { share: 0.3, perSeed: 0.9 },
  "none read": { share: 0.5, perSeed: 3 },
  "weak read": { share: 0.4, perSeed: 3 },
  "linearizable read": { share: 0.4, perSeed: 60 },
  "strong read": { share: 0.4, perSeed: 13 },
  "object read": { share: 0.4, perSeed: 12 },
  "object write": { share: 0.25, perSeed: 12 },
  "page of object changes": { share: 0.5, perSeed: 30 },
  "change of members": { share: 0.2, perSeed: 1.5 },
};

export interface WholeRun {
  readonly seeds: number;
  readonly requests: Counts;
  readonly missedMarks: readonly string[];
}

/** What a run without a violation has not shown, though it was long enough for it. */
export function shortcomingsOf({ seeds, requests, missedMarks }: WholeRun): string[] {
  const marks = seeds < SEEDS_OF_ALL_MARKS ? [] : missedMarks.map((mark) => `never reached: ${mark}`);
  return [...marks, ...(seeds < SEEDS_OF_ALL_REQUESTS ? [] : unanswered(seeds, requests))];
}

function unanswered(seeds: number, requests: Counts): string[] {
  return Object.entries(MINIMA).flatMap(([kind, { share, perSeed }]) => {
    const { asked, answered } = requests[kind as RequestKind];
    const wanted = Math.ceil(Math.max(share * asked, perSeed * seeds));
    return answered >= wanted
      ? []
      : [`${kind}: ${answered} of ${asked} answered, at least ${wanted} must be`];
  });
}
