import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import type { RestoredSnapshot } from "../raft/core.ts";
import type { Timing } from "../raft/pace.ts";
import type { PeerStatus } from "../raft/peers.ts";
import type { RaftLimits } from "../raft/raft-limits.ts";
import type { MemberId } from "../raft/types.ts";
import type { Store } from "../store/store.ts";
import type { LogPosition } from "../store/types.ts";
import { Applier } from "./applier.ts";
import { Consensus, type ConsensusOptions } from "./consensus.ts";
import { CopyKeeper } from "./copy-keeper.ts";
import { IndexReads } from "./index-reads.ts";
import { Leadership } from "./leadership.ts";
import { LogRetention } from "./log-retention.ts";
import { LogTime } from "./log-time.ts";
import { MemberChanges } from "./member-changes.ts";
import { placedConfiguration } from "./membership-record.ts";
import { isOneHistory } from "./one-history.ts";
import type { ReplicaLog, Transport } from "./ports.ts";
import { Proposer } from "./proposer.ts";
import { type ReplicaStatus, replicaStatusOf } from "./replica-status.ts";
import { stopping } from "./sql-errors.ts";
import { Waiters } from "./waiters.ts";
import type { Brake } from "./write-brake.ts";

export interface ReplicaOptions {
  readonly clusterId: string;
  readonly memberId: MemberId;
  readonly timing: Timing;
  readonly raftLimits?: RaftLimits;
  readonly recovered: ConsensusOptions["recovered"];
  /** See `ConsensusOptions`. */
  readonly isFounder: boolean;
  readonly log: ReplicaLog;
  /** Why the log is to take no entries now, for reasons outside of the replica; null if it may. */
  readonly entryRefusal: () => string | null;
  readonly store: Store;
  /** Above it, about half of the log is dropped; who needs more than what is left gets a snapshot. */
  readonly logRetainBytes: number;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The disk or the database failed, or an invariant broke: the agent must stop and start again. */
  readonly onFailed: (error: unknown) => void;
}

/**
 * One member of the replicated state machine: consensus decides the order of commands, the applier feeds them to the
 * store, and whoever proposed one here gets its answer.
 *
 *     proposer, reads, members -> consensus -> log, other members
 *                                     |
 *                                     v
 *                       copy -> applier -> store        leadership: who may do all this
 *
 * What others may ask of a member stands in its parts; here is what joins them: what is told to whom when consensus has moved, an entry
 * was applied, or the copy was replaced.
 */
export class Replica {
  readonly leadership: Leadership;
  readonly proposer: Proposer;
  readonly reads: IndexReads;
  readonly members: MemberChanges;
  readonly copy: CopyKeeper;
  readonly #options: ReplicaOptions;
  readonly #consensus: Consensus;
  readonly #applier: Applier;
  readonly #retention: LogRetention;
  /** They fail when this member stops. */
  readonly #waiters: Waiters;
  readonly #appliedListeners = new Set<() => void>();
  readonly #installedListeners = new Set<() => void>();
  #isStopped = false;

  constructor(options: ReplicaOptions) {
    const { store, recovered, clock } = options;
    // Whoever opened the storage has looked (`assertOneHistory`), and has brought the log up to what was installed.
    invariant(isOneHistory(store, recovered), "the databases do not stand on the log");
    this.#options = options;
    const waiters = new Waiters(clock);
    this.#waiters = waiters;
    const onFailed = (error: unknown): void => this.#fail(error);
    // What a database holds was committed; the log's own mark travels with a later write and may be behind.
    const commit = Math.max(recovered.hardState.commit, store.newest.index);
    const consensus = new Consensus({
      ...options,
      entryRefusal: () => options.entryRefusal() ?? this.#entryRefusal(),
      recovered: { ...recovered, hardState: { ...recovered.hardState, commit } },
      configuration: placedConfiguration(store.configuration),
      onProgress: () => this.#onProgress(),
      onSnapshotNeeded: (leader) => this.copy.needed(leader),
      onRestored: (position) => this.copy.logRestored(position),
      onRead: (id, index) => this.reads.answered(id, index),
      onFailed,
    });
    this.#consensus = consensus;
    const raft = (): Consensus["raft"] => consensus.raft;
    const applier = new Applier({
      ...{ clock, store, onFailed },
      entries: (from, to, bytesMax) => raft().entries(from, to, bytesMax),
      onApplied: (entry, result) => this.proposer.applied(entry, result),
      onBatch: () => this.#onBatch(),
    });
    this.#applier = applier;
    const copy = new CopyKeeper({
      ...options,
      ...{ raft, applier, onFailed },
      restore: (snapshot) => this.#restore(snapshot),
      onInstalled: () => {
        for (const listener of this.#installedListeners) listener();
      },
    });
    this.copy = copy;
    const appliedIndex = (): number => applier.appliedIndex;
    this.#retention = new LogRetention({
      ...options,
      retainBytes: options.logRetainBytes,
      log: raft,
      appliedIndex,
      // Before the membership is in the store, the log is all that knows it; without a copy, of everything.
      mayDrop: () => copy.fault === null && store.configuration !== null,
      checkpoint: () => store.checkpoint(),
      heldPosition: () => copy.heldPosition,
      sentFraction: () => copy.sentFraction,
      neededFrom: () => followedFrom(raft().peers),
      endSnapshot: () => copy.endSending(),
      compact: (base) => consensus.compact(base),
      onFailed,
    });
    const parts = { ...options, consensus, copy, waiters, appliedIndex };
    const brake = (): Brake | null => this.#writeBrake();
    this.proposer = new Proposer({ ...parts, brake, logTime: new LogTime(clock) });
    this.reads = new IndexReads(parts);
    this.leadership = new Leadership({ ...parts, isAnswering: () => this.proposer.isAnswering });
    this.members = new MemberChanges({
      ...{ waiters, clock },
      isLeader: () => this.leadership.isLeader,
      configurationIndex: () => raft().configurationIndex,
      propose: (target) => consensus.changeConfiguration(target),
      termAt: (index) => raft().termAt(index),
      membership: () => applier.membership,
    });
    // The database was emptied, or is a copy from long ago: the log does not reach back to its end.
    if (store.applied.index < recovered.base.index) copy.quarantine("empty");
  }

  status(): ReplicaStatus {
    return replicaStatusOf({
      ...{ consensus: this.#consensus, applier: this.#applier, copy: this.copy },
      store: this.#options.store,
    });
  }

  /** Where the applied index will be once the store is done with what it is at. */
  get applyingTo(): number {
    return this.#applier.batchEndIndex;
  }

  /** Where consensus stands here, to be read only. */
  get raft(): Consensus["raft"] {
    return this.#consensus.raft;
  }

  /**
   * True while this member has all that was committed before the present leader, in a copy that can be trusted: it has applied an
   * entry of that one's term.
   */
  get hasWholeCopy(): boolean {
    const { leader, term } = this.#consensus.raft;
    const appliedTerm = this.#consensus.raft.termAt(this.#applier.appliedIndex);
    return this.copy.isWhole && leader !== null && appliedTerm === term;
  }

  /**
   * True if this member holds everything up to that entry, which is committed: in a copy that is whole, and in its log, which goes on
   * where the copy ends. A log that does not is the copy's fault (`empty`).
   */
  holds(position: LogPosition): boolean {
    return this.copy.isWhole && this.#consensus.raft.holds(position);
  }

  /** Calls `listener` after each batch that the store has applied. Returns what ends that. */
  onApplied(listener: () => void): () => void {
    this.#appliedListeners.add(listener);
    return () => this.#appliedListeners.delete(listener);
  }

  /** Calls `listener` when the store was replaced, before anything else is applied to it. Returns what ends that. */
  onInstalled(listener: () => void): () => void {
    this.#installedListeners.add(listener);
    return () => this.#installedListeners.delete(listener);
  }

  /** Stores nothing more until `resumeStoring`: applies no entry, fetches no snapshot. What is applied can be read. */
  pauseStoring(): void {
    void this.#applier.hold("disk");
    this.copy.pauseFetching();
  }

  resumeStoring(): void {
    this.#applier.release("disk");
    this.copy.resumeFetching();
  }

  /**
   * The store has failed: has nothing to do with it any more, answers no command, and does not count as one that holds the data, though
   * its log goes on. Leadership can still be handed over before `stop`.
   */
  leaveStore(): void {
    this.#applier.stop();
    this.proposer.stop();
    this.#retention.stop();
    this.copy.abandon();
  }

  /** Takes and does nothing any more. Reads that wait get `stopping`, writes `outcome-unknown`. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#consensus.stop();
    this.#applier.stop();
    this.#retention.stop();
    this.copy.stop();
    this.proposer.stop();
    this.leadership.stop();
    this.#waiters.fail(stopping());
    this.reads.stop();
  }

  #fail(error: unknown): void {
    this.stop();
    this.#options.onFailed(error);
  }

  #onProgress(): void {
    this.leadership.progressed();
    this.proposer.progressed();
    this.#applier.advance(this.#consensus.raft.applicableIndex);
    this.copy.progressed();
    this.#retention.maybeRun();
    this.#waiters.changed();
  }

  #entryRefusal(): string | null {
    if (!this.#retention.isFull) return null;
    if (this.copy.fault === null) return this.#lagRefusal();
    // mark: replica: entries wait for a fresh copy
    return "The copy of the data is out of use, and the log is as large as it may be meanwhile: entries wait for a fresh copy.";
  }

  #writeBrake(): Brake | null {
    // What is not committed yet has a bound of its own.
    if (this.#retention.isFull && this.#applier.appliedIndex < this.#consensus.raft.commitIndex) {
      // mark: replica: writes wait for the leader's slow database
      return "database";
    }
    if (!this.#retention.isOutrun) return null;
    // mark: replica: writes are slowed for a snapshot that is being sent
    return "snapshot";
  }

  /** Who leads need not take up more than it can apply: it proposes no faster (`#writeBrake`). */
  #lagRefusal(): string | null {
    const { applicableIndex } = this.#consensus.raft;
    if (this.leadership.isLeader || this.#applier.appliedIndex >= applicableIndex) return null;
    // mark: replica: entries wait for a slow database
    return "The database has not taken up what the log holds: entries wait for it.";
  }

  #onBatch(): void {
    for (const listener of this.#appliedListeners) listener();
    this.#retention.maybeRun();
    this.#waiters.changed();
  }

  #restore(snapshot: RestoredSnapshot): boolean {
    const waitsForLog = this.#consensus.restore(snapshot);
    this.proposer.restored(snapshot);
    return waitsForLog;
  }
}

/** What the slowest of those has who come up by a leader's log. Who needs a snapshot does not. */
function followedFrom(peers: readonly PeerStatus[] | null): number {
  const coming = (peers ?? []).filter(({ isActive, state }) => isActive && state !== "snapshot");
  return Math.min(Number.POSITIVE_INFINITY, ...coming.map(({ match }) => match));
}
