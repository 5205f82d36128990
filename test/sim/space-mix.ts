import type { SimRandom } from "./sim-random.ts";

/** How file systems fill in one run. */
export interface SpaceMix {
  /** Mean of the times between two fillings; infinite if there are none. */
  readonly fillEveryMs: number;
  /** Of the fillings: on all nodes at once. */
  readonly allRate: number;
  /** Of the looks at the room that is left: fail. */
  readonly unreadableRate: number;
}

export function drawSpaceMix(random: SimRandom): SpaceMix {
  return {
    fillEveryMs: random.isTrue(0.25) ? random.magnitude(2_000, 20_000) : Number.POSITIVE_INFINITY,
    allRate: random.pick([0, 0.2, 0.5]),
    unreadableRate: random.isTrue(0.2) ? random.magnitude(0.01, 0.5) : 0,
  };
}
