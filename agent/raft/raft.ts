import { invariant } from "../platform/invariant.ts";
import { answerLowerTerm, answerVoteRequest } from "./answers.ts";
import { Campaign } from "./campaign.ts";
import type { ConfigurationTarget } from "./configuration-change.ts";
import { Core, type RaftOptions, type RestoredSnapshot } from "./core.ts";
import { Follower } from "./follower.ts";
import { type ChangeRefusal, Leader, type ProposeResult } from "./leader.ts";
import type { Message } from "./messages.ts";
import { isFromLeader } from "./messages.ts";
import type { LogWrite } from "./outbox.ts";
import type { Timing } from "./pace.ts";
import type { PeerStatus } from "./peers.ts";
import { type ReadResult, Reads } from "./reads.ts";
import type { Role, Transitions } from "./role.ts";
import type { Configuration, Entry, LogPosition, MemberId } from "./types.ts";

/** What the owner must do now. Nothing here may be skipped; the order between the fields is free. */
export interface Effects {
  /** To be made durable, then `persisted(sequence)`. Writes must reach the disk in the order they come. */
  readonly write: LogWrite | null;
  /** To be sent. Those that wait for a write come with a later call, after `persisted`. */
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
  readonly #transitions: Transitions;
  #role: Role;

  constructor(options: RaftOptions) {
    this.#core = new Core(options);
    this.#transitions = {
      becomeFollower: (leader) => this.#become(new Follower(this.#core, this.#transitions, leader)),
      becomePreCandidate: () => this.#campaign("pre-candidate", false),
      becomeCandidate: (isTransfer) => this.#campaign("candidate", isTransfer),
      becomeLeader: () => this.#become(new Leader(this.#core, this.#transitions, this.#reads)),
    };
    this.#role = new Follower(this.#core, this.#transitions, null);
  }

  get id(): MemberId {
    return this.#core.id;
  }

  get role(): Role["kind"] {
    return this.#role.kind;
  }

  get term(): number {
    return this.#core.term;
  }

  get leader(): MemberId | null {
    return this.#role.leader;
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
    return this.#role instanceof Leader && this.#role.isTransferring;
  }

  /** Everyone else who gets the log, learners included; null unless this member leads. */
  get peers(): readonly PeerStatus[] | null {
    return this.#role instanceof Leader ? this.#role.peers : null;
  }

  /** In force: as configured, or as slow as was measured. */
  get timing(): Timing {
    return this.#core.timing;
  }

  /** When `tick` is due at the latest, in the owner's milliseconds. */
  get deadlineMs(): number {
    return this.#role.deadlineMs;
  }

  /** Entries `from` to `to`, both included, at least one and as many as fit `bytesMax`. */
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
    if (nowMs >= this.#role.deadlineMs) this.#role.tick();
  }

  /** Takes one message. Anything late, doubled or out of order is harmless. */
  step(message: Message): void {
    invariant(message.to === this.#core.id, `a message for ${message.to} came to ${this.#core.id}`);
    if (message.term > this.#core.term && !this.#meetHigherTerm(message)) return;
    if (message.term < this.#core.term) {
      answerLowerTerm(this.#core, message);
      return;
    }
    switch (message.kind) {
      case "pre-vote-request":
      case "vote-request":
        if (answerVoteRequest(this.#core, message, this.#role.leader !== null)) {
          if (this.#role instanceof Follower) this.#role.voteGranted();
        }
        return;
      default:
        if (isFromLeader(message) && this.#isCampaigning) this.#transitions.becomeFollower(message.from);
        this.#role.step(message);
    }
  }

  /** Appends a command to the replicated log, if this member leads. */
  propose(command: Uint8Array): ProposeResult {
    if (!(this.#role instanceof Leader)) return { kind: "refused", reason: "not-leader" };
    return this.#role.propose(command);
  }

  /**
   * Makes `target` the members, if this member leads. It is in force at once, and done when the entry of the result, and
   * the one that leaves the joint configuration, if there is one, are committed; see `configuration`.
   *
   * A new voter counts from the first moment: it should have caught up as a learner before.
   */
  changeConfiguration(target: ConfigurationTarget): ProposeResult<ChangeRefusal> {
    if (!(this.#role instanceof Leader)) return { kind: "refused", reason: "not-leader" };
    return this.#role.changeConfiguration(target);
  }

  /** Asks for the index that a linearizable read must wait for; it comes with the effects. False: not the leader. */
  read(id: number): boolean {
    if (!(this.#role instanceof Leader)) return false;
    this.#reads.add(id);
    return true;
  }

  /** Hands leadership to `to`, or to the best voter. False if this member does not lead or nobody else can. */
  transferLeadership(to: MemberId | null = null): boolean {
    return this.#role instanceof Leader && this.#role.transferTo(to);
  }

  /**
   * A hint that `leader` is gone (its connection died). If it is the leader of this term, it is forgotten, and this
   * member campaigns after `delayMs`. Safe when wrong: pre-vote fails while a quorum hears the leader.
   */
  leaderLost(leader: MemberId, delayMs: number): void {
    if (this.#role instanceof Follower && this.#role.leader === leader) this.#role.campaignWithin(delayMs);
  }

  /** There can be no leader to disturb (a cluster of one, or a new one): do not wait for an election timeout. */
  campaignAtOnce(): void {
    if (this.#role instanceof Follower) this.#role.campaignWithin(0);
  }

  /** An entry that others know to be committed: ours as well, where and once it stands in the log (Raft 5.3). */
  learnCommitted(position: { readonly index: number; readonly term: number }): void {
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
      this.#transitions.becomeFollower(null);
    } else if (isNews && this.#isCampaigning) {
      // mark: raft: a snapshot ends a campaign
      this.#transitions.becomeFollower(null);
    }
    const isHeld = core.log.term(snapshot.index) === snapshot.term;
    invariant(!isNews || isHeld || !(this.#role instanceof Leader), "a leader lacks what is committed");
    if (!core.restore(snapshot)) return false;
    if (this.#role instanceof Follower) this.#role.restored(snapshot.index);
    return true;
  }

  /** The term of an entry, undefined where the log does not know it. */
  termAt(index: number): number | undefined {
    return this.#core.log.term(index);
  }

  /** Writes up to `sequence` are durable. */
  persisted(sequence: number): void {
    this.#core.writesDurable(sequence);
    if (this.#role instanceof Leader) this.#role.persisted(this.#core.persisted);
  }

  takeEffects(): Effects {
    const messages: Message[] = [];
    // A member's own votes come back to it like anyone's, and may change its role, which sends more.
    for (let isSettled = false; !isSettled; ) {
      this.#role.flush();
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

  get #isCampaigning(): boolean {
    return this.#role instanceof Campaign;
  }

  #become(role: Role): void {
    if (this.#role instanceof Leader) this.#reads.abort();
    this.#role = role;
  }

  #campaign(kind: "pre-candidate" | "candidate", isTransfer: boolean): void {
    const core = this.#core;
    if (kind === "candidate") {
      core.enterTerm(core.term + 1);
      core.voteFor(core.id);
    }
    this.#become(new Campaign(core, this.#transitions, kind, { isTransfer }));
  }

  /** The sender is ahead. False if the message is to be ignored. */
  #meetHigherTerm(message: Message): boolean {
    switch (message.kind) {
      case "pre-vote-request":
        // Asks about a future term and changes nothing here; ignored while the leader is known to live.
        return !this.#role.protectsLeader;
      case "pre-vote-response":
        // Granted: it echoes the term that we asked about. Refused: the sender's own term, which is news.
        if (message.granted) return true;
        break;
      case "vote-request":
        if (this.#role.protectsLeader && !message.transfer) {
          // mark: raft: a candidate is ignored for a leader that lives
          return false;
        }
        break;
      default:
    }
    this.#core.enterTerm(message.term);
    this.#transitions.becomeFollower(isFromLeader(message) ? message.from : null);
    return true;
  }
}
