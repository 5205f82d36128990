import { invariant } from "../platform/invariant.ts";
import type { ConfigurationTarget } from "./configuration-change.ts";
import { Core, type RaftOptions, type RestoredSnapshot } from "./core.ts";
import type { ChangeRefusal, ProposeResult } from "./leader.ts";
import type { Message } from "./messages.ts";
import type { LogWrite } from "./outbox.ts";
import type { Timing } from "./pace.ts";
import type { PeerStatus } from "./peers.ts";
import { type ReadResult, Reads } from "./reads.ts";
import type { Role } from "./role.ts";
import { Roles } from "./roles.ts";
import type { Configuration, Entry, LogPosition, MemberId } from "./types.ts";

const NOT_LEADER = { kind: "refused", reason: "not-leader" } as const;

/** What the owner must do now. Nothing here may be skipped; the order between the fields is free. */
export interface Effects {
  /**
   * To be made durable, then `persisted(sequence)`. Writes must reach the disk in the order they come; where entries have to wait,
   * the newest term and vote may go ahead (`hardStatePersisted`), and so may a snapshot (`LogWrite.restored`).
   */
  readonly write: LogWrite | null;
  /** To be sent. Those that wait for a write come with a later call, after `persisted` or `hardStatePersisted`. */
  readonly messages: readonly Message[];
  readonly reads: readonly ReadResult[];
  /**
   * The leader says that this member needs a snapshot: one is to be fetched from it, then `restore`. It is said again with every
   * heartbeat, so it may come while that is under way.
   */
  readonly snapshotFrom: MemberId | null;
}

/**
 * One member's consensus (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm"; "thesis" is
 * Ongaro's, 2014), as a pure state machine: messages, time and completions in, effects out. It never waits, and knows
 * neither clock nor disk nor network.
 *
 *     step / tick / propose / read / persisted   ->  takeEffects()
 *
 * The owner calls `advance` with the present time before any input, and `tick` and `takeEffects` after each batch of them:
 * so the answers that have come count before the silence of those that have not.
 */
export class Raft {
  readonly #core: Core;
  readonly #reads = new Reads();
  readonly #roles: Roles;

  constructor(options: RaftOptions) {
    this.#core = new Core(options);
    this.#roles = new Roles(this.#core, this.#reads);
  }

  get id(): MemberId {
    return this.#core.id;
  }

  get role(): Role["kind"] {
    return this.#roles.current.kind;
  }

  get term(): number {
    return this.#core.term;
  }

  get leader(): MemberId | null {
    return this.#roles.current.leader;
  }

  get lastIndex(): number {
    return this.#core.log.lastIndex;
  }

  /** The first entry that is retained; `lastIndex + 1` if none is. */
  get firstIndex(): number {
    return this.#core.log.firstIndex;
  }

  /** The position before it: the state machine holds everything up to there. */
  get base(): LogPosition {
    return this.#core.log.base;
  }

  /** What the retained entries weigh. */
  get logBytes(): number {
    return this.#core.log.bytes;
  }

  get commitIndex(): number {
    return this.#core.commit;
  }

  /**
   * Committed, and durable on this member: what may be applied. An entry that only others hold durably must not reach
   * the database, which could then survive a crash that the own log does not.
   */
  get applicableIndex(): number {
    return this.#core.applicable;
  }

  /**
   * True if this member durably holds everything up to the entry of that position, which is committed: it may know of the entry, and
   * not yet that it is.
   */
  holds({ index, term }: LogPosition): boolean {
    const { applicable, persisted, log } = this.#core;
    return index <= applicable || (index <= persisted && log.term(index) === term);
  }

  get configuration(): Configuration {
    return this.#core.configuration;
  }

  /** Where it stands in the log; 0 if no configuration is known. */
  get configurationIndex(): number {
    return this.#core.configurationIndex;
  }

  get isVoter(): boolean {
    return this.#core.isVoter;
  }

  get isTransferring(): boolean {
    return this.#roles.leader?.isTransferring ?? false;
  }

  /** Everyone else who gets the log, learners included; null unless this member leads. */
  get peers(): readonly PeerStatus[] | null {
    return this.#roles.leader?.peers ?? null;
  }

  /** In force: as configured, or as slow as was measured. */
  get timing(): Timing {
    return this.#core.timing;
  }

  /** When `tick` is due at the latest, in the owner's milliseconds. */
  get deadlineMs(): number {
    return this.#roles.current.deadlineMs;
  }

  /** Entries `from` to `to`, both included, as many as fit `bytesMax` but at least one if there is one. */
  entries(from: number, to: number, bytesMax: number): readonly Entry[] {
    return this.#core.log.slice(from, to, bytesMax);
  }

  /** Time moves on, and nothing else happens: for inputs that may have come before a deadline that has passed. */
  advance(nowMs: number): void {
    invariant(nowMs >= this.#core.nowMs, "raft time went back");
    this.#core.nowMs = nowMs;
  }

  /** Time moves on: `nowMs` is monotone. Acts if a deadline has passed. */
  tick(nowMs: number): void {
    this.advance(nowMs);
    if (nowMs >= this.#roles.current.deadlineMs) this.#roles.current.tick();
  }

  /** Takes one message. Anything late, doubled or out of order is harmless. */
  step(message: Message): void {
    invariant(message.to === this.#core.id, `a message for ${message.to} came to ${this.#core.id}`);
    this.#roles.step(message);
  }

  /** Appends a command to the replicated log, if this member leads. */
  propose(command: Uint8Array): ProposeResult {
    return this.#roles.leader?.propose(command) ?? NOT_LEADER;
  }

  /**
   * Makes `target` the members, if this member leads. It is in force at once, and done when the entry of the result, and
   * the one that leaves the joint configuration, if there is one, are committed; see `configuration`.
   *
   * A new voter counts from the first moment: it should have caught up as a learner before.
   */
  changeConfiguration(target: ConfigurationTarget): ProposeResult<ChangeRefusal> {
    return this.#roles.leader?.changeConfiguration(target) ?? NOT_LEADER;
  }

  /** Asks for the index that a linearizable read must wait for; it comes with the effects. False: not the leader. */
  read(id: number): boolean {
    if (this.#roles.leader === null) return false;
    this.#reads.add(id);
    return true;
  }

  /** Hands leadership to `to`, or to the best voter. False if this member does not lead or nobody else can. */
  transferLeadership(to: MemberId | null = null): boolean {
    return this.#roles.leader?.transferTo(to) ?? false;
  }

  /**
   * A hint that `leader` is gone (its connection died). If it is the leader of this term, it is forgotten, and this
   * member campaigns after `delayMs`. Safe when wrong: pre-vote fails while a quorum hears the leader.
   */
  leaderLost(leader: MemberId, delayMs: number): void {
    const { follower } = this.#roles;
    if (follower?.leader === leader) follower.campaignWithin(delayMs);
  }

  /** There can be no leader to disturb (a cluster of one, or a new one): do not wait for an election timeout. */
  campaignAtOnce(): void {
    this.#roles.follower?.campaignWithin(0);
  }

  /** An entry that others know to be committed: ours as well, where and once it stands in the log (Raft 5.3). */
  learnCommitted(position: LogPosition): void {
    this.#core.learnCommitted(position);
  }

  /** Forgets the entries up to `base`, which are applied and durable in the state machine. Never goes back. */
  compact(base: LogPosition): void {
    this.#core.compact(base);
  }

  /**
   * The state machine was replaced by a snapshot and holds it durably. False: the log has come as far already, and goes on as it
   * is. Else it begins behind the snapshot; what it holds beyond stays if it holds the snapshot's position.
   */
  restore(snapshot: RestoredSnapshot): boolean {
    const core = this.#core;
    const isNews = snapshot.index > core.applicable;
    if (isNews && snapshot.term > core.term) {
      // mark: raft: a snapshot of a later term
      core.enterTerm(snapshot.term);
      this.#roles.becomeFollower(null);
    } else if (isNews && this.#roles.isCampaigning) {
      // mark: raft: a snapshot ends a campaign
      this.#roles.becomeFollower(null);
    }
    // A leader has all that is committed (Raft 5.4.3), until there is another one.
    const isOvertaken = isNews && core.log.term(snapshot.index) !== snapshot.term;
    if (isOvertaken && this.#roles.leader !== null) this.#roles.becomeFollower(null);
    if (!core.restore(snapshot)) return false;
    this.#roles.follower?.restored(snapshot.index);
    return true;
  }

  /** The term of an entry, undefined where the log does not know it. */
  termAt(index: number): number | undefined {
    return this.#core.log.term(index);
  }

  /**
   * Of writes up to `sequence` the terms and votes are durable, but for the entries, which have to wait: a vote need not wait with
   * them. `persisted` follows when they are.
   */
  hardStatePersisted(sequence: number): void {
    this.#core.outbox.hardStateDurable(sequence);
  }

  /** Writes up to `sequence` are durable: in their order, each once. */
  persisted(sequence: number): void {
    this.#core.writesDurable(sequence);
    this.#roles.leader?.persisted(this.#core.persisted);
  }

  /** What all inputs since the last call ask for; each thing comes once. */
  takeEffects(): Effects {
    const messages: Message[] = [];
    // A member's own votes come back to it like anyone's, and may change its role, which sends more.
    for (let isSettled = false; !isSettled; ) {
      this.#roles.current.flush();
      isSettled = true;
      for (const message of this.#core.outbox.take()) {
        if (message.to !== this.#core.id) messages.push(message);
        else {
          isSettled = false;
          this.step(message);
        }
      }
    }
    const { snapshotFrom } = this.#core;
    this.#core.snapshotFrom = null;
    return { write: this.#core.takeWrite(), messages, reads: this.#reads.takeResults(), snapshotFrom };
  }
}
