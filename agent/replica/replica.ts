import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { ConfigurationTarget } from "../raft/configuration-change.ts";
import type { RestoredSnapshot } from "../raft/core.ts";
import type { Timing } from "../raft/pace.ts";
import type { PeerStatus } from "../raft/peers.ts";
import { type MemberId, NO_CONFIGURATION, type PlacedConfiguration } from "../raft/types.ts";
import { encodeCommand } from "../store/command.ts";
import { checkStatements } from "../store/sql-check.ts";
import type { ReplicatedState, Store } from "../store/store.ts";
import type { LogPosition, SqlStatement } from "../store/types.ts";
import { Applier } from "./applier.ts";
import { type CommandDraft, completeDraft } from "./command-draft.ts";
import { committedPosition } from "./committed-position.ts";
import { Consensus, type ConsensusOptions } from "./consensus.ts";
import { CopyKeeper } from "./copy-keeper.ts";
import { LogRetention } from "./log-retention.ts";
import { LogTime } from "./log-time.ts";
import { MemberChanges } from "./member-changes.ts";
import { decodeRecord } from "./membership-record.ts";
import type { ReplicaLog, Transport } from "./ports.ts";
import { type Applied, Proposals } from "./proposals.ts";
import { RoomyLog } from "./roomy-log.ts";
import type { SnapshotProgress } from "./snapshot-fetcher.ts";
import type { CopyFault } from "./snapshot-want.ts";
import { noLeader, notLeader, outcomeUnknown, overloaded, stopping, writeTimeout } from "./sql-errors.ts";
import { Waiters } from "./waiters.ts";

const SEED_BYTES = 16;

/** What a write may take on the leader when it is tried out; on a slower node it takes longer, but it ends. */
const REHEARSAL_MS = 5_000;

/** After leadership was handed over: longer than a message takes, and than the others take to hear of it. */
const LINGER_MS = 300;

/** How the waits of a hand-over may end: nobody took over, the answers did not come, this member stops. */
const HAND_OVER_ENDS: readonly string[] = ["no-leader", "timeout", "stopping"];

/** Commands that wait for their result, and reads that wait for their index, at once. */
const WAITING_MAX = 4096;

export interface ReplicaOptions {
  readonly clusterId: string;
  readonly memberId: MemberId;
  readonly timing: Timing;
  readonly recovered: ConsensusOptions["recovered"];
  /** See `ConsensusOptions`. */
  readonly isFounder: boolean;
  readonly log: ReplicaLog;
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
  /** For how long the store has been at the entries behind it, milliseconds; 0 if there are none. */
  readonly applyingMs: number;
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
}

/**
 * One member of the replicated state machine: consensus decides the order of commands, the applier feeds them to the
 * store, and whoever proposed one here gets its answer.
 */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #consensus: Consensus;
  readonly #applier: Applier;
  readonly #copy: CopyKeeper;
  readonly #retention: LogRetention;
  readonly #changes: MemberChanges;
  readonly #proposals = new Proposals();
  readonly #waiters: Waiters;
  readonly #logTime: LogTime;
  readonly #reads = new Map<number, { resolve(index: number): void; reject(error: TrivetError): void }>();
  readonly #leaderListeners = new Set<(leader: MemberId) => void>();
  readonly #appliedListeners = new Set<() => void>();
  readonly #installedListeners = new Set<() => void>();
  #lastReadId = 0;
  #refuseWrite: () => TrivetError | null = () => null;
  #isStopped = false;
  #reported = "";

  constructor(options: ReplicaOptions) {
    const { store, recovered, clock } = options;
    this.#options = options;
    this.#waiters = new Waiters(clock);
    this.#logTime = new LogTime(clock);
    assertOneHistory(store.newest, recovered);
    // What a database holds was committed; the log's own mark travels with a later write and may be behind.
    const commit = Math.max(recovered.hardState.commit, store.newest.index);
    this.#consensus = new Consensus({
      ...options,
      log: new RoomyLog({ log: options.log, clock, refusal: () => this.#logRefusal() }),
      recovered: { ...recovered, hardState: { ...recovered.hardState, commit } },
      configuration: appliedConfiguration(store),
      onProgress: () => this.#onProgress(),
      onSnapshotNeeded: (leader) => this.#copy.needed(leader),
      onRestored: (position) => this.#copy.logRestored(position),
      onRead: (id, index) => this.#onRead(id, index),
      onFailed: (error) => this.#fail(error),
    });
    const raft = (): Consensus["raft"] => this.#consensus.raft;
    const onFailed = (error: unknown): void => this.#fail(error);
    this.#applier = new Applier({
      clock,
      store,
      entries: (from, to, bytesMax) => raft().entries(from, to, bytesMax),
      onApplied: (entry, result) => this.#proposals.applied(entry.index, entry.term, result),
      onBatch: () => this.#onBatch(),
      onFailed,
    });
    this.#copy = new CopyKeeper({
      ...options,
      raft,
      applier: this.#applier,
      restore: (snapshot) => this.#restore(snapshot),
      onInstalled: () => {
        for (const listener of this.#installedListeners) listener();
      },
      onFailed,
    });
    this.#retention = new LogRetention({
      retainBytes: options.logRetainBytes,
      log: raft,
      checkpoint: () => store.checkpoint(),
      openSnapshot: () => this.#copy.sending,
      endSnapshot: () => this.#copy.endSending(),
      compact: (base) => this.#consensus.compact(base),
      onFailed,
    });
    this.#changes = new MemberChanges({
      waiters: this.#waiters,
      isLeader: () => this.isLeader,
      configurationIndex: () => raft().configurationIndex,
      propose: (target) => this.#consensus.changeConfiguration(target),
      membership: () => this.#applier.membership,
    });
    // The database was emptied, or is a copy from long ago: the log does not reach back to its end.
    if (store.applied.index < recovered.base.index) this.#copy.quarantine("empty");
  }

  status(): ReplicaStatus {
    const { raft } = this.#consensus;
    const { id, role, term, leader, configuration, isVoter } = raft;
    return {
      memberId: id,
      role: role === "follower" && !isVoter ? "learner" : role,
      term,
      leader,
      firstIndex: raft.firstIndex,
      lastIndex: raft.lastIndex,
      logBytes: raft.logBytes,
      commitIndex: raft.commitIndex,
      appliedIndex: this.#applier.appliedIndex,
      applyingMs: this.#applier.batchAgeMs,
      ...configuration,
      timing: raft.timing,
      peers: raft.peers,
      snapshot: this.#copy.progress,
      copyFault: this.copyFault,
    };
  }

  /** As in the status. */
  get copyFault(): CopyFault | null {
    return this.#copy.fault;
  }

  /** Who leads, as far as this member knows; null while nobody does that can serve, or while leadership is being handed over. */
  get leader(): MemberId | null {
    const { id, leader, isTransferring } = this.#consensus.raft;
    return isTransferring || (leader === id && this.#copy.fault !== null) ? null : leader;
  }

  get isLeader(): boolean {
    return this.leader === this.#consensus.raft.id;
  }

  /**
   * Replicates and applies a command, if this member leads. What may take for ever is tried out before: an entry that never ends would
   * stop every node, for good. Rejects with `not-leader` (it did not and will not happen), what `Store.rehearse` rejects with,
   * `overloaded`, `stopping` (likewise) or `outcome-unknown`. The caller keeps the deadline.
   */
  async propose(draft: CommandDraft): Promise<Applied> {
    this.#assertRunning();
    if (this.#proposals.size >= WAITING_MAX) throw overloaded();
    const { raft } = this.#consensus;
    if (raft.role !== "leader" || this.#copy.fault !== null) throw notLeader();
    const refusal = isBarrier(draft) ? null : this.#refuseWrite();
    if (refusal !== null) throw refusal;
    const seed = this.#options.random.bytes(SEED_BYTES);
    if (draft.kind === "sql") await this.#rehearse(draft, seed);
    // Not before: while it was tried out others were proposed, and the time in the log never goes back.
    const command = completeDraft(draft, this.#logTime.next(raft, this.#options.store.lastTimeMs), seed);
    const proposed = this.#consensus.propose(encodeCommand(command));
    if (proposed.kind === "refused") throw proposed.reason === "overloaded" ? overloaded() : notLeader();
    return this.#proposals.wait(proposed.index, proposed.term);
  }

  /** Tries out what may take for ever. */
  async #rehearse(draft: Extract<CommandDraft, { kind: "sql" }>, seed: Uint8Array): Promise<void> {
    const { store } = this.#options;
    const { statements, transaction } = draft;
    if (isBounded(statements) && !store.hasHiddenWork) return;
    const timeMs = this.#logTime.next(this.#consensus.raft, store.lastTimeMs);
    await store.rehearse(statements, { transaction, timeoutMs: REHEARSAL_MS, timeMs, seed });
    this.#assertRunning();
  }

  /**
   * The position that a linearizable read must wait for (Raft thesis 6.4), if this member leads. Rejects with
   * `not-leader`, `overloaded` or `stopping`; in each case nothing was done.
   */
  async readIndex(): Promise<LogPosition> {
    this.#assertRunning();
    if (this.#reads.size >= WAITING_MAX) throw overloaded();
    const id = ++this.#lastReadId;
    if (this.#copy.fault !== null || !this.#consensus.read(id)) throw notLeader();
    const index = await new Promise<number>((resolve, reject) => this.#reads.set(id, { resolve, reject }));
    return committedPosition(this.#consensus.raft, index);
  }

  /** Where consensus stands here, to be read only. */
  get raft(): Consensus["raft"] {
    return this.#consensus.raft;
  }

  /** What this member knows to be committed, without asking anyone. */
  get committed(): LogPosition {
    const { raft } = this.#consensus;
    return committedPosition(raft, raft.commitIndex);
  }

  /**
   * Resolves once the store has applied a position that the leader named, and so vouched to be committed. Rejects with
   * `timeout`, `not-serving` or `stopping`.
   */
  async waitApplied(position: LogPosition, timeoutMs: number): Promise<void> {
    this.#assertRunning();
    this.assertServing();
    const { index } = position;
    // Or else this member would wait for the next message of the leader to tell it so.
    if (this.#consensus.raft.commitIndex < index) this.#consensus.learnCommitted(position);
    await this.#waiters.until(
      () => this.#applier.appliedIndex >= index,
      timeoutMs,
      () =>
        new TrivetError(
          "timeout",
          `This node has applied entry ${this.#applier.appliedIndex} and did not reach ${index} in time: it is catching up. Try again, or ask another node.`,
        ),
    );
  }

  /** Resolves once `isMet` holds for the present leader. Rejects with `no-leader` after `timeoutMs`, or `stopping`. */
  async waitLeader(isMet: (leader: MemberId | null) => boolean, timeoutMs: number): Promise<void> {
    this.#assertRunning();
    await this.#waiters.until(() => isMet(this.leader), timeoutMs, noLeader);
  }

  /** Calls `listener` when another member leads, or one leads again. Returns what ends that. */
  onLeader(listener: (leader: MemberId) => void): () => void {
    this.#leaderListeners.add(listener);
    return () => this.#leaderListeners.delete(listener);
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

  /**
   * True while this member has all that was committed before the present leader, in a copy that can be trusted: it has applied an
   * entry of that one's term.
   */
  get hasWholeCopy(): boolean {
    const { leader, term } = this.#consensus.raft;
    const appliedTerm = this.#consensus.raft.termAt(this.#applier.appliedIndex);
    return this.#copy.fault === null && leader !== null && appliedTerm === term;
  }

  /** Throws `not-serving` while this member's copy of the data must not be read. */
  assertServing(): void {
    this.#copy.assertServing();
  }

  /**
   * This member's copy must not be used any more: hands leadership over as soon as another voter can take it, applies and serves
   * nothing, and fetches another copy.
   */
  quarantine(fault: CopyFault): void {
    if (!this.#isStopped) this.#copy.quarantine(fault);
  }

  /** `refusal` says of each write why it cannot be taken now; null if it can. Reads are not asked for. */
  refuseWrites(refusal: () => TrivetError | null): void {
    this.#refuseWrite = refusal;
  }

  /** Stores nothing more until `resumeStoring`: applies no entry, fetches no snapshot. What is applied can be read. */
  pauseStoring(): void {
    void this.#applier.hold("disk");
    this.#copy.pauseFetching();
  }

  resumeStoring(): void {
    this.#applier.release("disk");
    this.#copy.resumeFetching();
  }

  /**
   * Makes these the members, if this member leads; resolves once that is applied here. New voters should have caught up as
   * learners. Rejects with `not-leader`, `change-pending`, `member-retired`, `invalid-configuration`, `overloaded` (nothing was
   * done), `timeout` (unknown) or `stopping`.
   */
  async changeMembers(target: ConfigurationTarget, timeoutMs: number): Promise<void> {
    this.#assertRunning();
    await this.#changes.change(target, timeoutMs);
  }

  /** The connection to a node died: if it leads, elect another one soon. Only a hint. */
  nodeLost(nodeId: string): void {
    this.#consensus.nodeLost(nodeId);
  }

  /**
   * Hands leadership over if this member has it, to `to` if that is given, so that nobody waits for an election timeout. Resolves when another
   * leads, what was proposed here is answered, and what the others had sent here meanwhile has been turned away; or after
   * `timeoutMs`: then the others must find out by themselves.
   */
  async handOver(timeoutMs: number, to: MemberId | null = null): Promise<void> {
    if (!this.#consensus.transferLeadership(to)) return;
    const { logger, clock } = this.#options;
    try {
      await this.#waiters.until(() => this.leader !== null && !this.isLeader, timeoutMs, noLeader);
      // What was proposed here is answered here, by what the new leader commits.
      await this.#waiters.until(() => this.#proposals.size === 0, timeoutMs, writeTimeout);
      logger.log("info", "Leadership is handed over.");
    } catch (error) {
      if (!isTrivetError(error) || !HAND_OVER_ENDS.includes(error.code)) throw error;
      logger.log("warn", "Leadership could not be handed over in time.", { reason: error.message });
    }
    // Requests may be on their way from nodes that have not heard of the new leader. Gone, this node would leave them in doubt;
    // here, it tells them that nothing was done.
    await new Promise<void>((resolve) => clock.setTimer(LINGER_MS, resolve));
  }

  /** Takes and does nothing any more. Reads that wait get `stopping`, writes `outcome-unknown`. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#consensus.stop();
    this.#applier.stop();
    this.#retention.stop();
    this.#copy.stop();
    this.#proposals.fail(outcomeUnknown());
    this.#waiters.fail(stopping());
    for (const read of this.#reads.values()) read.reject(stopping());
    this.#reads.clear();
  }

  #fail(error: unknown): void {
    this.stop();
    this.#options.onFailed(error);
  }

  #assertRunning(): void {
    if (this.#isStopped) throw stopping();
  }

  #onProgress(): void {
    this.#reportRole();
    const { raft } = this.#consensus;
    this.#applier.advance(raft.applicableIndex);
    this.#copy.progressed();
    if (this.#copy.fault !== null) this.#giveLeadershipAway();
    // Before the membership is in the store, the log is all that knows it.
    else if (this.#options.store.configuration !== null) this.#retention.maybeRun();
    this.#waiters.changed();
  }

  #logRefusal(): string | null {
    if (this.#copy.fault === null || !this.#retention.isFull) return null;
    // mark: replica: entries wait for a fresh copy
    return "The copy of the data is out of use, and the log is as large as it may be meanwhile: entries wait for a fresh copy.";
  }

  /** Without a copy of the data, a leader can serve nobody. */
  #giveLeadershipAway(): void {
    const { role, isTransferring } = this.#consensus.raft;
    if (role !== "leader" || isTransferring) return;
    // mark: replica: a leader without a copy of the data hands over
    this.#consensus.transferLeadership();
  }

  #onBatch(): void {
    for (const listener of this.#appliedListeners) listener();
    this.#waiters.changed();
  }

  #restore(snapshot: RestoredSnapshot): boolean {
    const waitsForLog = this.#consensus.restore(snapshot);
    this.#proposals.restored(snapshot);
    return waitsForLog;
  }

  #onRead(id: number, index: number | null): void {
    const read = this.#reads.get(id);
    this.#reads.delete(id);
    if (index === null) read?.reject(notLeader());
    else read?.resolve(index);
  }

  #reportRole(): void {
    const { role, term, leader } = this.#consensus.raft;
    const report = `${role} ${term} ${leader}`;
    if (report === this.#reported) return;
    this.#reported = report;
    this.#options.logger.log("info", "Raft state changed.", { role, term, leader });
    if (leader !== null) for (const listener of this.#leaderListeners) listener(leader);
  }
}

/** What stands before it is applied once it is; it changes nothing. */
function isBarrier(draft: CommandDraft): boolean {
  return draft.kind === "sql" && draft.statements.length === 0;
}

function isBounded(statements: readonly SqlStatement[]): boolean {
  const check = checkStatements(statements);
  return check.ok && check.isBounded;
}

function appliedConfiguration({ configuration }: ReplicatedState): PlacedConfiguration {
  if (configuration === null) return NO_CONFIGURATION;
  return { index: configuration.index, configuration: decodeRecord(configuration.bytes).configuration };
}

/**
 * The database must stand on this log: the entry that it applied last must be in it, or before it: then the database is
 * incomplete.
 */
function assertOneHistory(newest: LogPosition, { base, entries }: ReplicaOptions["recovered"]): void {
  const last = entries.at(-1) ?? base;
  const found = newest.index === base.index ? base : entries[newest.index - base.index - 1];
  if (newest.index < base.index || found?.term === newest.term) return;
  throw new TrivetError(
    "log-behind-store",
    `The database has applied entry ${newest.index} of term ${newest.term}; the log, which ends at ${last.index}, does not hold it. They are not of one data directory: restore both together, or start this node with an empty one.`,
  );
}
