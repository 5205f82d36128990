import type { WorkKind } from "./model-work.ts";
import type { SimRandom } from "./sim-random.ts";

/** How often a piece of work of the store goes wrong in one run. */
export type StoreFaultMix = Readonly<Record<WorkKind, number>>;

export function drawStoreFaultMix(random: SimRandom): StoreFaultMix {
  const maybe = (probability: number, low: number, high: number) =>
    random.isTrue(probability) ? random.magnitude(low, high) : 0;
  return {
    change: maybe(0.2, 0.0002, 0.005),
    question: maybe(0.3, 0.005, 0.2),
    transfer: maybe(0.3, 0.005, 0.2),
  };
}
