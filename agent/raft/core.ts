import { invariant } from "../platform/invariant.ts";
import { ConfigurationHistory } from "./configuration-history.ts";
import { EntryLog } from "./entry-log.ts";
import type { Message } from "./messages.ts";
import { type LogWrite, Outbox } from "./outbox.ts";
import { votersOf } from "./quorum.ts";
import type { Configuration, Entry, HardState, MemberId } from "./types.ts";

/** All in milliseconds. `electionMs` is T: an election timeout is drawn from [T, 2T). */
export interface Timing {
  readonly heartbeatMs: number;
  readonly electionMs: number;
}

export interface RaftOptions {
  readonly id: MemberId;
  readonly timing: Timing;
  /** A float in [0, 1): the only source of chance. */
  readonly random: () => number;
  /** What the durable log holds. */
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly Entry[];
  readonly hardState: HardState;
}

/**
 * The state that outlives a role: term, vote, log, configuration, what waits to be sent. Every role works on the
 * same core and owns nothing that another role needs.
 *
 *     commit <= log.lastIndex           a crash of this is data loss
 *     persisted <= log.lastIndex        entries up to here are durable on this member
 *     unstable  <= log.lastIndex + 1    entries from here on have not been handed out to be written
 */
export class Core {
  readonly id: MemberId;
  readonly log: EntryLog;
  readonly outbox = new Outbox();
  readonly timing: Timing;
  nowMs = 0;
  readonly #configurations = new ConfigurationHistory();
  readonly #random: () => number;
  #term: number;
  #vote: MemberId | null;
  #commit: number;
  #persisted: number;
  #unstable: number;
  /** Committed as others say, and not in the log yet. */
  #committedAhead: { readonly index: number; readonly term: number } | null = null;
  /** Writes on their way to the disk, oldest first, with the position they end at. */
  readonly #inFlight: { readonly sequence: number; readonly lastIndex: number; readonly lastTerm: number }[] =
    [];

  constructor(options: RaftOptions) {
    this.id = options.id;
    this.timing = options.timing;
    this.#random = options.random;
    this.log = new EntryLog(options.base, options.entries);
    this.#configurations.append(options.entries);
    this.#term = options.hardState.term;
    this.#vote = options.hardState.vote;
    invariant(this.#term >= this.log.lastTerm, "the hard state is older than the log");
    // A commit index is written after the entries that it speaks of are durable (`takeWrite`).
    invariant(options.hardState.commit <= this.log.lastIndex, "committed entries are missing from the log");
    this.#commit = Math.max(options.hardState.commit, options.base.index);
    this.#persisted = this.log.lastIndex;
    this.#unstable = this.log.lastIndex + 1;
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

  /** Up to here the entries are durable on this member. */
  get persisted(): number {
    return this.#persisted;
  }

  get configuration(): Configuration {
    return this.#configurations.current;
  }

  get isVoter(): boolean {
    return votersOf(this.configuration).has(this.id);
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
    this.outbox.hardStateChanged();
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
  learnCommitted(position: { readonly index: number; readonly term: number }): void {
    if (this.log.term(position.index) === position.term) {
      this.commitTo(position.index);
      this.#committedAhead = null;
    } else if (position.index > (this.#committedAhead?.index ?? this.#commit)) {
      this.#committedAhead = position;
    }
  }

  /** Cuts off what a new leader does not have. Never touches a committed entry (Raft 5.4.3). */
  truncate(from: number): void {
    invariant(from > this.#commit, `entry ${from} is committed and cannot be replaced`);
    this.log.truncate(from);
    this.#configurations.truncate(from);
    this.#persisted = Math.min(this.#persisted, from - 1);
    this.#unstable = Math.min(this.#unstable, from);
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

  sendAfterEverything(message: Message): void {
    this.outbox.sendAfterEverything(message, this.#isDirty);
  }

  /** What the disk must hold next; null if it is up to date but for the commit index, which is worth no sync. */
  takeWrite(): LogWrite | null {
    if (!this.#isDirty) return null;
    const entries = this.log.slice(this.#unstable, this.log.lastIndex);
    this.#unstable = this.log.lastIndex + 1;
    // Not of what this very write makes durable: if it is torn, the commit index must not be ahead of the log.
    const commit = Math.min(this.#commit, this.#persisted);
    const hardState = { term: this.#term, vote: this.#vote, commit };
    const write = this.outbox.issueWrite(hardState, entries);
    const { lastIndex, lastTerm } = this.log;
    this.#inFlight.push({ sequence: write.sequence, lastIndex, lastTerm });
    return write;
  }

  /** Writes up to `sequence` are durable. */
  writesDurable(sequence: number): void {
    for (let first = this.#inFlight[0]; first && first.sequence <= sequence; first = this.#inFlight[0]) {
      this.#inFlight.shift();
      // If the log was cut meanwhile, a later write covers what replaced it. Terms only grow, so that the
      // same term at the same index means the same entries.
      if (this.log.term(first.lastIndex) !== first.lastTerm) continue;
      this.#persisted = Math.max(this.#persisted, first.lastIndex);
    }
    this.outbox.writesDurable(sequence);
  }

  get #isDirty(): boolean {
    return this.#unstable <= this.log.lastIndex || this.outbox.isHardStateDirty;
  }
}
