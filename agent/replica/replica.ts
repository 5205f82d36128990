import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { Timing } from "../raft/pace.ts";
import { votersOf } from "../raft/quorum.ts";
import { type MemberId, NO_CONFIGURATION } from "../raft/types.ts";
import { encodeCommand } from "../store/command.ts";
import { checkStatements } from "../store/sql-check.ts";
import type { LogPosition, SqlStatement, Store } from "../store/types.ts";
import { Applier } from "./applier.ts";
import { type CommandDraft, completeDraft } from "./command-draft.ts";
import { Consensus, type ConsensusOptions } from "./consensus.ts";
import { LogTime } from "./log-time.ts";
import type { ReplicaLog, Transport } from "./ports.ts";
import { type Applied, Proposals } from "./proposals.ts";
import { noLeader, notLeader, outcomeUnknown, overloaded, stopping, writeTimeout } from "./sql-errors.ts";
import { Waiters } from "./waiters.ts";

const SEED_BYTES = 16;

/** What a write may take on the leader when it is tried out; on a slower node it takes longer, but it ends. */
const REHEARSAL_MS = 5_000;

/** After leadership was handed over: longer than a message takes, and than the others take to hear of it. */
const LINGER_MS = 300;

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
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** For how long the store has been at the entries behind it, milliseconds; 0 if there are none. */
  readonly applyingMs: number;
  /** In both sets while the configuration is joint. */
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

/**
 * One member of the replicated state machine: consensus decides the order of commands, the applier feeds them to the
 * store, and whoever proposed one here gets its answer.
 */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #consensus: Consensus;
  readonly #applier: Applier;
  readonly #proposals = new Proposals();
  readonly #waiters: Waiters;
  readonly #logTime: LogTime;
  readonly #reads = new Map<number, { resolve(index: number): void; reject(error: TrivetError): void }>();
  readonly #leaderListeners = new Set<(leader: MemberId) => void>();
  #lastReadId = 0;
  #isStopped = false;
  #reported = "";

  constructor(options: ReplicaOptions) {
    const { store, recovered, clock } = options;
    this.#options = options;
    this.#waiters = new Waiters(clock);
    this.#logTime = new LogTime(clock);
    assertOneHistory(store.applied, recovered);
    // What is applied was committed; the log's own mark travels with a later write and may be behind.
    const commit = Math.max(recovered.hardState.commit, store.applied.index);
    this.#consensus = new Consensus({
      ...options,
      recovered: { ...recovered, hardState: { ...recovered.hardState, commit } },
      configuration: NO_CONFIGURATION,
      onProgress: () => this.#onProgress(),
      onSnapshotNeeded: (leader) =>
        options.logger.log("warn", "This node is too far behind the leader's log.", { leader }),
      onRead: (id, index) => this.#onRead(id, index),
      onFailed: (error) => this.#fail(error),
    });
    this.#applier = new Applier({
      clock,
      store,
      entries: (from, to, bytesMax) => this.#consensus.raft.entries(from, to, bytesMax),
      onApplied: (entry, result) => this.#proposals.applied(entry.index, entry.term, result),
      onBatch: () => this.#waiters.changed(),
      onFailed: (error) => this.#fail(error),
    });
  }

  status(): ReplicaStatus {
    const { id, role, term, leader, lastIndex, commitIndex, configuration, isVoter } = this.#consensus.raft;
    return {
      memberId: id,
      role: role === "follower" && !isVoter ? "learner" : role,
      term,
      leader,
      lastIndex,
      commitIndex,
      appliedIndex: this.#applier.appliedIndex,
      applyingMs: this.#applier.batchAgeMs,
      voters: [...votersOf(configuration)],
      learners: configuration.learners,
    };
  }

  /** Who leads, as far as this member knows; null while nobody does, or while leadership is being handed over. */
  get leader(): MemberId | null {
    const { leader, isTransferring } = this.#consensus.raft;
    return isTransferring ? null : leader;
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
    if (raft.role !== "leader") throw notLeader();
    const seed = this.#options.random.bytes(SEED_BYTES);
    if (draft.kind === "sql") await this.#rehearse(draft, seed);
    // Not before: while it was tried out others were proposed, and the time in the log never goes back.
    const command = completeDraft(draft, this.#logTime.next(raft), seed);
    const proposed = this.#consensus.propose(encodeCommand(command));
    if (proposed.kind === "refused") throw proposed.reason === "overloaded" ? overloaded() : notLeader();
    return this.#proposals.wait(proposed.index, proposed.term);
  }

  /** Tries out what may take for ever. */
  async #rehearse(draft: Extract<CommandDraft, { kind: "sql" }>, seed: Uint8Array): Promise<void> {
    const { store } = this.#options;
    const { statements, transaction } = draft;
    if (isBounded(statements) && !store.hasHiddenWork) return;
    const timeMs = this.#logTime.next(this.#consensus.raft);
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
    if (!this.#consensus.read(id)) throw notLeader();
    const index = await new Promise<number>((resolve, reject) => this.#reads.set(id, { resolve, reject }));
    return this.#positionAt(index);
  }

  /** What this member knows to be committed, without asking anyone. */
  get committed(): LogPosition {
    return this.#positionAt(this.#consensus.raft.commitIndex);
  }

  /**
   * Resolves once the store has applied a position that the leader named, and so vouched to be committed. Rejects with
   * `timeout` or `stopping`.
   */
  async waitApplied(position: LogPosition, timeoutMs: number): Promise<void> {
    this.#assertRunning();
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

  /** The connection to a node died: if it leads, elect another one soon. Only a hint. */
  nodeLost(nodeId: string): void {
    this.#consensus.nodeLost(nodeId);
  }

  /**
   * Hands leadership over if this member has it, so that nobody waits for an election timeout. Resolves when another
   * leads, what was proposed here is answered, and what the others had sent here meanwhile has been turned away; or after
   * `timeoutMs`: then the others must find out by themselves.
   */
  async handOver(timeoutMs: number): Promise<void> {
    if (!this.#consensus.transferLeadership()) return;
    const { logger, clock } = this.#options;
    try {
      await this.#waiters.until(() => this.leader !== null && !this.isLeader, timeoutMs, noLeader);
      // What was proposed here is answered here, by what the new leader commits.
      await this.#waiters.until(() => this.#proposals.size === 0, timeoutMs, writeTimeout);
      logger.log("info", "Leadership is handed over.");
    } catch (error) {
      logger.log("warn", "Leadership could not be handed over in time.", { reason: error });
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

  #positionAt(index: number): LogPosition {
    const term = this.#consensus.raft.termAt(index);
    invariant(term !== undefined, `no term at ${index}, which is committed here`);
    return { index, term };
  }

  #onProgress(): void {
    this.#reportRole();
    this.#applier.advance(this.#consensus.raft.applicableIndex);
    this.#waiters.changed();
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

function isBounded(statements: readonly SqlStatement[]): boolean {
  const check = checkStatements(statements);
  return check.ok && check.isBounded;
}

/** The database must stand on this log: the entry that it applied last must be in it. */
function assertOneHistory(applied: LogPosition, { base, entries }: ReplicaOptions["recovered"]): void {
  const last = entries.at(-1) ?? base;
  const found = applied.index === base.index ? base : entries[applied.index - base.index - 1];
  if (applied.index === 0 || found?.term === applied.term) return;
  throw new TrivetError(
    "log-behind-store",
    `The database has applied entry ${applied.index} of term ${applied.term}; the log, which ends at ${last.index}, does not hold it. They are not of one data directory: restore both together, or start this node with an empty one.`,
  );
}
