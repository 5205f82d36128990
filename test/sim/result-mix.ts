import type { SimRandom } from "./sim-random.ts";

/** What goes wrong with results in one run. */
export interface ResultMix {
  /** Of the results of writes, on each member: wrong. */
  readonly wrongRate: number;
  /** One more is wrong in the end, when all is well. */
  readonly hasDrill: boolean;
}

export function drawResultMix(random: SimRandom): ResultMix {
  return {
    wrongRate: random.isTrue(0.2) ? random.magnitude(0.0005, 0.02) : 0,
    hasDrill: random.isTrue(0.15),
  };
}
