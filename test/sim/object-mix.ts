import type { ObjectLimits } from "../../agent/replica/cluster-objects.ts";
import type { HistoryLimits } from "./model-objects.ts";
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
  /** What a watcher takes for a page, at most. */
  readonly digestMs: number;
  /** How long a watcher is away between two nodes, at most. */
  readonly awayMs: number;
  /** Of the clients: their writes are guarded by a session, and sent again until they are answered. */
  readonly sessionRate: number;
  /** Changes that a member keeps. */
  readonly history: HistoryLimits;
  /** What an agent keeps and tells of changes, scaled down with them: watchers fall behind the feed, and need many pages. */
  readonly limits: ObjectLimits;
}

export function drawObjectMix(random: SimRandom, absences: SimRandom): ObjectMix {
  const isUsed = random.isTrue(0.4);
  return {
    clients: isUsed ? 1 + random.below(3) : 0,
    watchers: isUsed ? 1 + random.below(3) : 0,
    thinkMs: random.magnitude(5, 500),
    timeoutMs: random.magnitude(200, 8_000),
    names: 1 + random.below(3),
    patienceMs: random.magnitude(200, 30_000),
    sessionRate: random.pick([0, 0.5, 1]),
    digestMs: random.isTrue(0.6) ? random.magnitude(1, 1_000) : 0,
    awayMs: absences.isTrue(0.7) ? absences.magnitude(100, 10_000) : 0,
    history: drawHistory(random),
    limits: {
      feed: { events: Math.round(random.magnitude(2, 200)), bytes: random.magnitude(50, 5_000) },
      page: { limit: Math.round(random.magnitude(4, 100)), bytesMax: random.magnitude(1_000, 50_000) },
    },
  };
}

/** Of a few changes at times: then a crash may leave a file that has forgotten what it must tell of again. */
function drawHistory(random: SimRandom): HistoryLimits {
  const events = random.isTrue(0.4) ? 1 + random.below(3) : Math.round(random.magnitude(4, 2_000));
  return { events, bytes: random.magnitude(100, 50_000) };
}
