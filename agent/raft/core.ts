import { invariant } from "../platform/invariant.ts";
import { ConfigurationHistory } from "./configuration-history.ts";
import { Durability } from "./durability.ts";
import { EntryLog } from "./entry-log.ts";
import type { LeaderMessage, Message } from "./messages.ts";
import { type LogWrite, Outbox } from "./outbox.ts";
import { Pace, type Timing } from "./pace.ts";
import { votersOf } from "./quorum.ts";
import type { RaftLimits } from "./raft-limits.ts";
import { SignsOfLife } from "./signs-of-life.ts";
import type { Configuration, Entry, HardState, LogPosition, MemberId, PlacedConfiguration } from "./types.ts";

export interface RaftOptions {
  readonly id: MemberId;
  /** As configured; what is in force follows what is measured. */
  readonly timing: Timing;
  readonly limits: RaftLimits;
  /** A float in [0, 1): the only source of chance. */
  readonly random: () => number;
  /** What the durable log holds. */
  readonly base: LogPosition;
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
  /** The last one that the state machine has applied: the log may have forgotten its entry. */
  readonly configuration: PlacedConfiguration;
}

/** What the state machine holds since it was replaced, durably. */
export interface RestoredSnapshot extends LogPosition {
  /** The last configuration up to `index`. */
  readonly configuration: PlacedConfiguration;
}

/**
 * The state that outlives a role: term, vote, log, configuration, what waits to be sent. Every role works on the
 * same core and owns nothing that another role needs.
 *
 *     log.base <= commit <= log.lastIndex   a breach of this is data loss
 *     persisted          <= log.lastIndex   entries up to here are durable on this member (`Durability`)
 */
export class Core {
  readonly id: MemberId;
  readonly log: EntryLog;
  readonly outbox = new Outbox();
  readonly pace: Pace;
  readonly limits: RaftLimits;
  readonly #signsOfLife = new SignsOfLife();
  nowMs = 0;
  readonly #configurations: ConfigurationHistory;
  readonly #random: () => number;
  #term: number;
  #vote: MemberId | null;
  #commit: number;
  readonly #durability: Durability;
  /** Committed as others say, and not in the log yet. */
  #committedAhead: LogPosition | null = null;
  /** Who told this member, since it was asked last, that it needs a snapshot. */
  snapshotFrom: MemberId | null = null;
  /** A snapshot that the durable log has not been told of. */
  #restored: LogPosition | null = null;

  constructor(options: RaftOptions) {
    this.id = options.id;
    this.pace = new Pace(options.timing);
    this.limits = options.limits;
    this.#random = options.random;
    this.log = new EntryLog(options.base, options.entries);
    this.#configurations = new ConfigurationHistory(options.configuration);
    this.#configurations.append(options.entries);
    this.#term = options.hardState.term;
    this.#vote = options.hardState.vote;
    invariant(this.#term >= this.log.lastTerm, "the hard state is older than the log");
    // A commit index is written after the entries that it speaks of are durable (`takeWrite`).
    invariant(options.hardState.commit <= this.log.lastIndex, "committed entries are missing from the log");
    invariant(options.configuration.index <= this.log.lastIndex, "the state machine is ahead of the log");
    this.#commit = Math.max(options.hardState.commit, options.base.index);
    this.#durability = new Durability(this.log.lastIndex);
  }

  get term(): number {
    return this.#term;
  }

  get vote(): MemberId | null {
    return this.#vote;
  }

  get commit(): number {
    return this.#commit;
  }

  /** Up to here the entries are durable on this member, in the log or in the state machine. */
  get persisted(): number {
    return this.#durability.persisted;
  }

  /** Committed, and durable on this member. */
  get applicable(): number {
    return Math.min(this.#commit, this.persisted);
  }

  get configuration(): Configuration {
    return this.#configurations.current;
  }

  /** Where the configuration in force stands in the log. */
  get configurationIndex(): number {
    return this.#configurations.index;
  }

  get isVoter(): boolean {
    return votersOf(this.configuration).has(this.id);
  }

  /** In force. */
  get timing(): Timing {
    return this.pace.timing;
  }

  /** When the disk, if it has not taken the oldest open write by then, is taken for hanging, or full; infinity without one. */
  get diskHangsMs(): number {
    return this.#hangsMs(0);
  }

  #hangsMs(sequence: number): number {
    return this.#durability.oldestIssuedMs(sequence) + 2 * this.timing.electionMs;
  }

  /**
   * A campaign needs a disk to write the own vote to, and a voter. That entries wait for room is no hindrance: of those that are
   * left, this member may be the only one whose log the others vote for. Or one that was voted out by an entry that is perhaps
   * not committed: of those that are needed for that, it may be the only one that has it (Raft thesis 4.2.2).
   */
  get mayCampaign(): boolean {
    if (this.nowMs >= this.#hangsMs(this.outbox.hardStateDurableUpTo)) return false;
    if (this.isVoter) return true;
    const { index, previous } = this.#configurations;
    return index > this.#commit && votersOf(previous).has(this.id);
  }

  /** A fresh election timeout, drawn from [T, 2T) (Raft 5.2). */
  drawElectionMs(): number {
    return this.timing.electionMs * (1 + this.#random());
  }

  /** A new term begins without a vote. */
  enterTerm(term: number): void {
    invariant(term > this.#term, `term ${term} does not follow ${this.#term}`);
    this.#term = term;
    this.#vote = null;
    this.#signsOfLife.termBegins();
    this.outbox.hardStateChanged();
  }

  /** True if `message`, of this term, shows that its leader lives, and does not come behind its time; see `SignsOfLife`. */
  isSignOfLife(message: LeaderMessage): boolean {
    return this.#signsOfLife.take(message, this.log, this.#commit);
  }

  /** Once a term (Raft 5.2). */
  voteFor(candidate: MemberId): void {
    invariant(this.#vote === null || this.#vote === candidate, `a second vote in term ${this.#term}`);
    if (this.#vote === candidate) return;
    this.#vote = candidate;
    this.outbox.hardStateChanged();
  }

  append(entries: readonly Entry[]): void {
    this.log.append(entries);
    this.#configurations.append(entries);
    if (this.#committedAhead !== null) this.learnCommitted(this.#committedAhead);
  }

  /**
   * Takes it from anyone that an entry is committed. Entries with the same index and term are the same, and so are all
   * before them (Log Matching, Raft 5.3): if it stands in this log, everything up to it is committed here too.
   */
  learnCommitted(position: LogPosition): void {
    if (this.log.term(position.index) === position.term) {
      this.commitTo(position.index);
      this.#committedAhead = null;
    } else if (position.index > (this.#committedAhead?.index ?? this.#commit)) {
      // mark: raft: an entry is known to be committed before it comes
      this.#committedAhead = position;
    }
  }

  /** Cuts off what a new leader does not have. Never touches a committed entry (Raft 5.4.3). */
  truncate(from: number): void {
    invariant(from > this.#commit, `entry ${from} is committed and cannot be replaced`);
    if (from <= this.configurationIndex) {
      // mark: raft: an uncommitted configuration is rolled back
      this.#configurations.truncate(from);
    }
    this.log.truncate(from);
    this.#durability.truncated(from);
  }

  /** Moves the commit index forward; never back. */
  commitTo(index: number): void {
    if (index <= this.#commit) return;
    invariant(
      index <= this.log.lastIndex,
      `commit ${index} is beyond the log, which ends at ${this.log.lastIndex}`,
    );
    this.#commit = index;
  }

  /** Forgets entries up to `base`, which the state machine holds durably. */
  compact(base: LogPosition): void {
    if (base.index <= this.log.base.index) return;
    invariant(base.index <= this.applicable, `entry ${base.index} cannot be dropped: it is not applied`);
    invariant(this.log.term(base.index) === base.term, `entry ${base.index} is not of term ${base.term}`);
    this.log.rebase(base);
    this.#configurations.compact(base.index);
  }

  /**
   * The state machine was replaced by a snapshot. True if that is news to the log, which then begins behind it; the
   * next write carries it. The term must have been entered.
   */
  restore({ index, term, configuration }: RestoredSnapshot): boolean {
    if (index <= this.applicable) {
      // Even then: this member may have lost its state machine, and the log does not reach back to the configuration.
      this.#configurations.rebase(index, configuration);
      return false;
    }
    invariant(term <= this.#term, `a snapshot of term ${term} came in term ${this.#term}`);
    if (this.log.term(index) === term) {
      // mark: raft: a snapshot ends within the log
      this.#configurations.rebase(index, configuration);
      this.#durability.covered(index);
    } else {
      // mark: raft: a snapshot replaces the log
      this.#configurations.replace(configuration);
      this.#durability.replaced(index);
    }
    this.log.rebase({ index, term });
    this.#restored = { index, term };
    this.#commit = Math.max(this.#commit, index);
    const ahead = this.#committedAhead;
    this.#committedAhead = null;
    if (ahead !== null) this.learnCommitted(ahead);
    return true;
  }

  sendAfterEverything(message: Message): void {
    this.outbox.sendAfterEverything(message, this.#isDirty);
  }

  /** What the disk must hold next; null if it is up to date but for the commit index, which is worth no sync. */
  takeWrite(): LogWrite | null {
    if (!this.#isDirty) return null;
    const { lastIndex } = this.log;
    const entries = this.log.slice(this.#durability.unstable, lastIndex);
    // Not of what this very write makes durable: if it is torn, the commit index must not be ahead of the log.
    const commit = this.applicable;
    const hardState = { term: this.#term, vote: this.#vote, commit };
    const write = this.outbox.issueWrite({ restored: this.#restored, hardState, entries });
    this.#restored = null;
    this.#durability.handedOut(write.sequence, lastIndex, this.nowMs);
    return write;
  }

  /** Writes up to `sequence` are durable. */
  writesDurable(sequence: number): void {
    for (const issuedMs of this.#durability.done(sequence)) this.pace.wrote(this.nowMs - issuedMs);
    this.outbox.writesDurable(sequence);
  }

  get #isDirty(): boolean {
    return (
      this.#restored !== null ||
      this.#durability.unstable <= this.log.lastIndex ||
      this.outbox.isHardStateDirty
    );
  }
}
