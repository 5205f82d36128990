import type { Timing } from "../raft/pace.ts";
import type { PeerStatus } from "../raft/peers.ts";
import type { MemberId } from "../raft/types.ts";
import type { Store } from "../store/store.ts";
import type { Applier } from "./applier.ts";
import type { Consensus } from "./consensus.ts";
import type { CopyKeeper } from "./copy-keeper.ts";
import type { EntryWait } from "./log-writes.ts";
import type { SnapshotProgress } from "./snapshot-fetcher.ts";
import type { CopyFault } from "./snapshot-want.ts";

export interface ReplicaStatus {
  readonly memberId: MemberId;
  readonly role: "learner" | "follower" | "pre-candidate" | "candidate" | "leader";
  readonly term: number;
  readonly leader: MemberId | null;
  /** Of the retained log; `lastIndex + 1` if it is empty. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** What the retained entries weigh. */
  readonly logBytes: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** For how long the store has owed an answer, be it to the entries behind it or to a question; milliseconds, 0 if it owes none. */
  readonly stalledMs: number;
  /** Entries that this member was sent wait for room in its log; null if none do. */
  readonly entryWait: EntryWait | null;
  readonly voters: readonly MemberId[];
  /** The voters before, while the configuration is joint: then a majority of each set decides. Else empty. */
  readonly outgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
  /** In force: as configured, or slower, as links and disks were measured. */
  readonly timing: Timing;
  /** What the leader knows of the others; null unless this member leads. */
  readonly peers: readonly PeerStatus[] | null;
  /** The snapshot that is on its way here. */
  readonly snapshot: SnapshotProgress | null;
  /** Why this member's copy is not served; null if it is. */
  readonly copyFault: CopyFault | null;
  /** See `Store.toleratedDamage`. */
  readonly copyDamage: string | null;
}

/**
 * Twice what a write may take that was tried out (`REHEARSAL_MS`): longer than any batch of usual writes, or the start of another
 * worker after a statement that had to be ended, takes on a small box. An index over a large table may take longer, on every node.
 */
const STUCK_MS = 10_000;

/** The database does nothing any more: its disk, or its worker, hangs, or an entry takes for ever. */
export function isStuck({ stalledMs }: Pick<ReplicaStatus, "stalledMs">): boolean {
  return stalledMs > STUCK_MS;
}

/** Puts together what the parts of a replica know. */
export function replicaStatusOf(parts: {
  readonly consensus: Pick<Consensus, "raft" | "entryWait">;
  readonly applier: Applier;
  readonly copy: CopyKeeper;
  readonly store: Pick<Store, "silentMs" | "toleratedDamage">;
}): ReplicaStatus {
  const { consensus, applier, copy, store } = parts;
  const { raft, entryWait } = consensus;
  const { id, role, term, leader, isVoter, configuration } = raft;
  const { firstIndex, lastIndex, logBytes, commitIndex, timing, peers } = raft;
  return {
    memberId: id,
    role: role === "follower" && !isVoter ? "learner" : role,
    ...{ term, leader, firstIndex, lastIndex, logBytes, commitIndex },
    appliedIndex: applier.appliedIndex,
    stalledMs: Math.max(applier.batchAgeMs, store.silentMs),
    entryWait,
    ...configuration,
    ...{ timing, peers },
    snapshot: copy.progress,
    copyFault: copy.fault,
    copyDamage: store.toleratedDamage,
  };
}
