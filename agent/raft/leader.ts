import { invariant } from "../platform/invariant.ts";
import { type ConfigurationTarget, isJoint, leaveJoint, planChange } from "./configuration-change.ts";
import type { Core } from "./core.ts";
import { entryBytes } from "./entry-log.ts";
import { Handover } from "./handover.ts";
import type { AppendResponse, HeartbeatResponse, Message } from "./messages.ts";
import { type PeerStatus, Peers } from "./peers.ts";
import type { Reads } from "./reads.ts";
import { Replicator } from "./replicator.ts";
import type { Role, Transitions } from "./role.ts";
import type { Configuration, Entry, MemberId } from "./types.ts";

/** After a commit, followers are told within this time even when no other message carries it. */
const COMMIT_NOTICE_MS = 20;

export type ProposeRefusal = "not-leader" | "overloaded" | "transferring";

/** `change-pending`: the configuration in force is not committed yet, or joint. `unchanged`: it is the one asked for. */
export type ChangeRefusal = ProposeRefusal | "change-pending" | "invalid-configuration" | "unchanged";

interface Proposed {
  readonly kind: "proposed";
  readonly index: number;
  readonly term: number;
}

/** What became of a proposal. `refused` means that nothing was done. */
export type ProposeResult<Refusal = ProposeRefusal> =
  | Proposed
  | { readonly kind: "refused"; readonly reason: Refusal };

/** Serves the present term: replicates, commits, confirms reads, and leaves when no quorum answers. */
export class Leader implements Role {
  readonly kind = "leader";
  readonly protectsLeader = true;
  readonly #core: Core;
  readonly #transitions: Transitions;
  readonly #reads: Reads;
  readonly #peers: Peers;
  readonly #replicator: Replicator;
  readonly #handover: Handover;
  /** The first entry of this term; once it is committed, so is all that stands before it (Raft 5.4.2). */
  readonly #firstIndex: number;
  /** Weight of the entries of this term that are not committed. */
  #uncommittedBytes = 0;
  #heartbeatMs: number;
  #checkQuorumMs: number;

  constructor(core: Core, transitions: Transitions, reads: Reads) {
    this.#core = core;
    this.#transitions = transitions;
    this.#reads = reads;
    this.#peers = new Peers(core);
    this.#replicator = new Replicator(core, this.#peers);
    this.#handover = new Handover(core, this.#peers);
    this.#heartbeatMs = core.nowMs;
    this.#checkQuorumMs = core.nowMs + core.timing.electionMs;
    this.#firstIndex = core.log.lastIndex + 1;
    this.#append({ kind: "noop", index: this.#firstIndex, term: core.term });
  }

  get leader(): MemberId {
    return this.#core.id;
  }

  get deadlineMs(): number {
    return Math.min(this.#heartbeatMs, this.#checkQuorumMs, this.#handover.deadlineMs, this.#diskHangsMs);
  }

  get isTransferring(): boolean {
    return this.#handover.isOn;
  }

  get peers(): readonly PeerStatus[] {
    return this.#peers.status();
  }

  propose(command: Uint8Array): ProposeResult {
    const reason = this.#refusal;
    if (reason !== null) return { kind: "refused", reason };
    const { term } = this.#core;
    const index = this.#core.log.lastIndex + 1;
    return this.#append({ kind: "command", index, term, command });
  }

  /** One change at a time: the one before must be committed, and its joint configuration left. */
  changeConfiguration(target: ConfigurationTarget): ProposeResult<ChangeRefusal> {
    const { configuration, configurationIndex, commit } = this.#core;
    const isPending = commit < configurationIndex || isJoint(configuration);
    const reason = this.#refusal ?? (isPending ? "change-pending" : null);
    if (reason !== null) return { kind: "refused", reason };
    const next = planChange(configuration, target);
    return typeof next === "string" ? { kind: "refused", reason: next } : this.#appendConfiguration(next);
  }

  /**
   * Hands leadership to `to`, or to the voter that is furthest of those that answer. False if there is no such voter.
   * Proposals are refused meanwhile; after an election timeout without success they are taken again.
   */
  transferTo(to: MemberId | null): boolean {
    return this.#handover.begin(to);
  }

  tick(): void {
    const { nowMs, timing } = this.#core;
    if (nowMs >= this.#handover.deadlineMs) {
      if (this.#handover.isFinal) {
        // mark: raft: leadership ends though nobody has taken it over
        this.#transitions.becomeFollower(null);
        return;
      }
      // mark: raft: a handover fails, and the leader goes on
      this.#handover.cancel();
    }
    if (nowMs >= this.#checkQuorumMs) {
      this.#checkQuorumMs = nowMs + timing.electionMs;
      if (!this.#peers.hearsQuorum()) {
        // mark: raft: a leader that hears no quorum steps down
        this.#transitions.becomeFollower(null);
        return;
      }
    }
    if (nowMs >= this.#diskHangsMs) {
      // mark: raft: a leader whose disk hangs hands over
      this.#handover.beginFinal();
    }
    if (nowMs >= this.#heartbeatMs) this.#sendHeartbeats();
  }

  flush(): void {
    this.#settleConfiguration();
    // Reads wait until an entry of this term is committed: only then is the commit index known (Raft thesis 6.4).
    if (this.#core.commit >= this.#firstIndex && this.#reads.beginRound(this.#core.commit)) {
      this.#sendHeartbeats();
      this.#confirmReads();
    }
    this.#replicator.sendEntries();
  }

  step(message: Message): void {
    switch (message.kind) {
      case "append-response":
        this.#stepAppendResponse(message);
        return;
      case "heartbeat-response":
        this.#stepHeartbeatResponse(message);
        return;
      case "append-request":
      case "heartbeat-request":
      case "snapshot-request":
      case "timeout-now":
        invariant(false, `two leaders in term ${message.term}: ${this.#core.id} and ${message.from}`);
        return;
      default:
      // Votes for the election that is won already.
    }
  }

  /** The own log is durable up to `index`: the leader counts itself only now (Raft thesis 10.2.1). */
  persisted(index: number): void {
    const { id, log } = this.#core;
    if (this.#peers.of(id).accepted(index, log.base.index)) this.#maybeCommit();
  }

  #stepAppendResponse({ from, index, hint }: AppendResponse): void {
    const progress = this.#peers.find(from);
    if (progress === undefined) return;
    const { log, nowMs } = this.#core;
    progress.heardMs = nowMs;
    if (hint === null) {
      if (progress.accepted(index, log.base.index)) this.#maybeCommit();
      this.#handover.maybeFinish(from);
      return;
    }
    // Where our log has a higher term than the hint, the peer cannot agree: skip that term at once.
    progress.rejected(index, log.lastIndexWithin(hint.index, hint.term));
  }

  #stepHeartbeatResponse({ from, readContext, sentMs }: HeartbeatResponse): void {
    const progress = this.#peers.find(from);
    if (progress === undefined) return;
    progress.heardMs = this.#core.nowMs;
    progress.echoed(sentMs, this.#core.nowMs);
    this.#replicator.maybeRetry(from, progress);
    progress.confirmedRead(readContext);
    this.#confirmReads();
    // The request to campaign may have been lost.
    this.#handover.maybeFinish(from);
  }

  #append(entry: Entry): Proposed {
    this.#core.append([entry]);
    this.#uncommittedBytes += entryBytes(entry);
    return { kind: "proposed", index: entry.index, term: entry.term };
  }

  /** It is in force at once, and decides over its own commit (Raft 6). */
  #appendConfiguration(configuration: Configuration): Proposed {
    const { term, log } = this.#core;
    const result = this.#append({ kind: "configuration", index: log.lastIndex + 1, term, configuration });
    this.#peers.followConfiguration();
    return result;
  }

  /** What a committed configuration asks of its leader. */
  #settleConfiguration(): void {
    const { configuration, configurationIndex, commit, id } = this.#core;
    if (commit < configurationIndex) return;
    if (isJoint(configuration)) {
      // Not while leadership is handed over: the successor, which has the whole log, would lack this entry and lose.
      if (!this.#handover.isOn) this.#appendConfiguration(leaveJoint(configuration));
    } else if (!configuration.voters.includes(id) && !this.#handover.isFinal) {
      // mark: raft: a leader that is voted out hands over
      this.#handover.beginFinal();
      // The others hear what is committed; and from the answer of its successor, this leader that it is one no more.
      this.#sendHeartbeats();
    }
  }

  #sendHeartbeats(): void {
    this.#peers.forgetDeparted();
    this.#replicator.sendHeartbeats(this.#reads.context);
    this.#heartbeatMs = this.#core.nowMs + this.#core.timing.heartbeatMs;
  }

  #maybeCommit(): void {
    const { log, term, commit, nowMs } = this.#core;
    const index = this.#peers.quorumMatch();
    // Entries of older terms are committed only by one of this term behind them (Raft 5.4.2, figure 8).
    if (index <= commit || log.term(index) !== term) return;
    this.#core.commitTo(index);
    const committed = log.slice(Math.max(commit + 1, this.#firstIndex), index);
    for (const entry of committed) this.#uncommittedBytes -= entryBytes(entry);
    this.#heartbeatMs = Math.min(this.#heartbeatMs, nowMs + COMMIT_NOTICE_MS);
  }

  #confirmReads(): void {
    this.#reads.confirmed(this.#peers.quorumReadContext(this.#reads.context));
  }

  get #refusal(): "transferring" | "overloaded" | null {
    if (this.#handover.isOn) return "transferring";
    return this.#uncommittedBytes > this.#core.limits.uncommittedBytesMax ? "overloaded" : null;
  }

  /** When to give up on the own disk: never without anyone to hand over to. */
  get #diskHangsMs(): number {
    return this.#handover.canBegin ? this.#core.diskHangsMs : Number.POSITIVE_INFINITY;
  }
}
