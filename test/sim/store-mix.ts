import type { WorkKind } from "./model-work.ts";
import type { SimRandom } from "./sim-random.ts";

/** What the store is like in one run besides what `FaultMix` says. */
export interface StoreFaultMix {
  /** Of the pieces of work of each kind: go wrong. */
  readonly rates: Readonly<Record<WorkKind, number>>;
  /** What a piece of a snapshot takes longer than other work, so that much may happen while one is on its way. */
  readonly transferMs: number;
  /** Up to so many times slower are some stores than the others; 0: none is. */
  readonly slowestFactor: number;
  /** Mean of the times between two hangs; infinite if there are none. */
  readonly hangEveryMs: number;
  /** What a pass over the files takes before a snapshot of them is open. */
  readonly openMs: number;
}

export function drawStoreFaultMix(random: SimRandom): StoreFaultMix {
  const maybe = (probability: number, low: number, high: number) =>
    random.isTrue(probability) ? random.magnitude(low, high) : 0;
  return {
    rates: {
      change: maybe(0.2, 0.0002, 0.005),
      question: maybe(0.3, 0.005, 0.2),
      transfer: maybe(0.3, 0.005, 0.2),
    },
    transferMs: maybe(0.4, 5, 500),
    slowestFactor: maybe(0.4, 3, 100),
    hangEveryMs: random.isTrue(0.25) ? random.magnitude(3_000, 30_000) : Number.POSITIVE_INFINITY,
    openMs: maybe(0.3, 500, 20_000),
  };
}
