import type { RaftLimits } from "../../agent/raft/raft-limits.ts";
import { type BusMix, drawBusMix } from "./bus-refusals.ts";
import { type DamageMix, drawDamageMix } from "./damage-mix.ts";
import { drawObjectMix, type ObjectMix } from "./object-mix.ts";
import { drawRaftLimits } from "./raft-limits-mix.ts";
import { drawResultMix, type ResultMix } from "./result-mix.ts";
import type { SimRandom } from "./sim-random.ts";
import { drawSpaceMix, type SpaceMix } from "./space-mix.ts";
import { drawStoreFaultMix, type StoreFaultMix } from "./store-mix.ts";

/** What goes wrong in one run, and how often. Probabilities are of one datagram, call or start; intervals are means. */
export interface FaultMix {
  readonly network: {
    readonly lossRate: number;
    readonly duplicateRate: number;
    /** Of the duplicated: comes minutes later. */
    readonly lateRate: number;
    /** Of requests and answers: another copy takes a slow path, on which a process may end and the next one lead. */
    readonly slowCopyRate: number;
    readonly delayMs: number;
    /** Of all: delayed by up to `tailMs`, most of them far less. */
    readonly tailRate: number;
    readonly tailMs: number;
    readonly partitionEveryMs: number;
    readonly flapEveryMs: number;
    readonly falseHintEveryMs: number;
    /** How often the death of a node is told to the others at once. */
    readonly hintRate: number;
  };
  readonly disk: {
    readonly syncMs: number;
    readonly slowRate: number;
    readonly slowMs: number;
    readonly failedSyncRate: number;
    readonly failedWriteRate: number;
    /** A call is begun, the process dies. */
    readonly diesInCallRate: number;
  };
  readonly space: SpaceMix;
  readonly results: ResultMix;
  readonly damage: DamageMix;
  readonly storeFaults: StoreFaultMix;
  readonly bus: BusMix;
  readonly objects: ObjectMix;
  readonly process: {
    readonly crashEveryMs: number;
    /** Of the crashes: the power goes, and what was not synced with it. */
    readonly powerCutRate: number;
    /** Of the crashes: all nodes at once. */
    readonly allRate: number;
    /** Of the starts: dies again soon. */
    readonly crashLoopRate: number;
    readonly pauseEveryMs: number;
    readonly wipeEveryMs: number;
    /** A node that was lost begins anew, as another member. */
    readonly comeBackEveryMs: number;
    /** Of the crashes: the medium of the log goes bad while the node is down (`MediumFault`). */
    readonly rotRate: number;
    /** See `LeadershipSwing`. */
    readonly swingEveryMs: number;
  };
  readonly clock: {
    readonly driftMax: number;
    readonly jumpEveryMs: number;
  };
  readonly operator: {
    readonly changeEveryMs: number;
    readonly handOverEveryMs: number;
    readonly stopEveryMs: number;
    /** Of the changes of members: the leader that makes it is cut off from the others in the middle. */
    readonly cutOffRate: number;
  };
  readonly clients: {
    readonly count: number;
    readonly thinkMs: number;
    readonly timeoutMs: number;
    readonly keys: number;
    readonly readRate: number;
    /** Of the clients: their writes are guarded by a session, and sent again until they are answered. */
    readonly sessionRate: number;
    /** Up to so large are writes; 0: as small as they come. */
    readonly writeBytesMax: number;
  };
  readonly store: {
    readonly applyMs: number;
    readonly checkpointEveryMs: number;
    readonly snapshotBytesMin: number;
    /** Every write is tried out before it goes into the log. */
    readonly hasHiddenWork: boolean;
  };
  readonly raftLimits: RaftLimits;
  readonly logRetainBytes: number;
  readonly segmentBytes: number;
}

const NEVER = Number.POSITIVE_INFINITY;

/** So many of the largest writes stay in the log at least: who is behind by a few is not to need a snapshot. */
const RETAINED_WRITES_MIN = 16;

/**
 * Each fault is left out of most runs or of some: a bug may need that another fault is *not* there. `streamOf` gives each purpose a
 * stream of its own: what is added that way changes nothing of what else is drawn.
 */
export function drawFaultMix(random: SimRandom, streamOf: (purpose: string) => SimRandom): FaultMix {
  const writes = streamOf("large writes");
  const writeBytesMax = writes.isTrue(0.25) ? writes.magnitude(2_000, 40_000) : 0;
  const cutOffs = streamOf("cut-offs");
  const copies = streamOf("slow copies");
  const swings = streamOf("swings");
  const maybe = (probability: number, low: number, high: number) =>
    random.isTrue(probability) ? random.magnitude(low, high) : 0;
  const every = (probability: number, low: number, high: number) =>
    random.isTrue(probability) ? random.magnitude(low, high) : NEVER;
  return {
    network: {
      lossRate: maybe(0.6, 0.002, 0.3),
      duplicateRate: maybe(0.6, 0.005, 0.5),
      lateRate: maybe(0.5, 0.01, 0.3),
      slowCopyRate: copies.isTrue(0.4) ? copies.magnitude(0.02, 0.5) : 0,
      delayMs: random.magnitude(0.2, 30),
      tailRate: maybe(0.5, 0.002, 0.2),
      tailMs: random.magnitude(100, 10_000),
      partitionEveryMs: every(0.6, 1500, 20_000),
      flapEveryMs: every(0.3, 500, 10_000),
      falseHintEveryMs: every(0.4, 200, 10_000),
      hintRate: random.pick([0, 0.5, 1]),
    },
    disk: {
      syncMs: random.magnitude(0.1, 30),
      slowRate: maybe(0.3, 0.001, 0.05),
      slowMs: random.magnitude(50, 3_000),
      failedSyncRate: maybe(0.25, 0.0003, 0.01),
      failedWriteRate: maybe(0.2, 0.0003, 0.01),
      diesInCallRate: maybe(0.4, 0.0005, 0.02),
    },
    space: drawSpaceMix(streamOf("space mix")),
    results: drawResultMix(streamOf("result mix")),
    damage: drawDamageMix(streamOf("damage mix"), streamOf("silent damage mix")),
    storeFaults: drawStoreFaultMix(streamOf("store fault mix")),
    bus: drawBusMix(streamOf("bus mix")),
    objects: drawObjectMix(streamOf("object mix"), streamOf("absences of watchers")),
    process: {
      crashEveryMs: every(0.7, 1_000, 20_000),
      powerCutRate: random.pick([0, 0.5, 1, 1]),
      allRate: random.pick([0, 0, 0.2, 0.6]),
      crashLoopRate: maybe(0.3, 0.1, 0.6),
      pauseEveryMs: every(0.4, 1_000, 20_000),
      wipeEveryMs: every(0.25, 3_000, 30_000),
      comeBackEveryMs: random.magnitude(500, 5_000),
      rotRate: maybe(0.2, 0.05, 0.4),
      swingEveryMs: swings.isTrue(0.3) ? swings.magnitude(1_000, 10_000) : NEVER,
    },
    clock: {
      driftMax: maybe(0.5, 0.0001, 0.05),
      jumpEveryMs: every(0.3, 500, 10_000),
    },
    operator: {
      changeEveryMs: every(0.5, 300, 8_000),
      handOverEveryMs: every(0.3, 1_000, 10_000),
      stopEveryMs: every(0.2, 3_000, 20_000),
      cutOffRate: cutOffs.isTrue(0.4) ? cutOffs.between(0.1, 0.8) : 0,
    },
    clients: {
      count: 2 + random.below(5),
      thinkMs: random.magnitude(2, 300),
      timeoutMs: random.magnitude(200, 8_000),
      keys: 1 + random.below(4),
      readRate: random.between(0.2, 0.7),
      sessionRate: random.pick([0, 0.5, 1]),
      writeBytesMax,
    },
    store: {
      hasHiddenWork: streamOf("hidden work").isTrue(0.2),
      applyMs: random.magnitude(0.05, 20),
      checkpointEveryMs: random.magnitude(500, 10_000),
      snapshotBytesMin: random.pick([0, 0, 300_000]),
    },
    raftLimits: drawRaftLimits(streamOf("raft limits")),
    logRetainBytes: random.magnitude(2_000, 100_000) + RETAINED_WRITES_MIN * writeBytesMax,
    segmentBytes: random.pick([4096, 4096, 8192, 16_384, 65_536]),
  };
}
