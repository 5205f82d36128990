import type { SimRandom } from "./sim-random.ts";

/** Who uses objects in one run. */
export interface ObjectMix {
  readonly clients: number;
  readonly watchers: number;
  readonly thinkMs: number;
  readonly timeoutMs: number;
  readonly names: number;
  /** How long a watcher stays with one node, at most. */
  readonly patienceMs: number;
  /** Of the clients: their writes are guarded by a session, and sent again until they are answered. */
  readonly sessionRate: number;
}

export function drawObjectMix(random: SimRandom): ObjectMix {
  const isUsed = random.isTrue(0.4);
  return {
    clients: isUsed ? 1 + random.below(3) : 0,
    watchers: isUsed ? 1 + random.below(2) : 0,
    thinkMs: random.magnitude(5, 500),
    timeoutMs: random.magnitude(200, 8_000),
    names: 1 + random.below(3),
    patienceMs: random.magnitude(200, 30_000),
    sessionRate: random.pick([0, 0.5, 1]),
  };
}
