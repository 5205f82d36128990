import { invariant } from "../platform/invariant.ts";
import type { Core } from "./core.ts";
import { entryBytes } from "./entry-log.ts";
import type { AppendResponse, HeartbeatResponse, Message } from "./messages.ts";
import { Progress } from "./progress.ts";
import { hasQuorum, membersOf, quorumWatermark, votersOf } from "./quorum.ts";
import type { Reads } from "./reads.ts";
import type { Role, Transitions } from "./role.ts";
import type { Entry, MemberId } from "./types.ts";

/** Entries in one append: what fits one datagram of the bus with room for its envelope. */
const APPEND_BYTES_MAX = 48 * 1024;

/** Proposed but not committed: beyond it, proposals are refused rather than gathered without end. */
const UNCOMMITTED_BYTES_MAX = 16 * 1024 * 1024;

/** After a commit, followers are told within this time even when no other message carries it. */
const COMMIT_NOTICE_MS = 20;

/** What became of a proposal. `refused` means that nothing was done. */
export type ProposeResult =
  | { readonly kind: "proposed"; readonly index: number; readonly term: number }
  | { readonly kind: "refused"; readonly reason: "not-leader" | "overloaded" | "transferring" };

/** Serves the present term: replicates, commits, confirms reads, and leaves when no quorum answers. */
export class Leader implements Role {
  readonly kind = "leader";
  readonly protectsLeader = true;
  readonly #core: Core;
  readonly #transitions: Transitions;
  readonly #reads: Reads;
  readonly #progress = new Map<MemberId, Progress>();
  /** The first entry of this term; once it is committed, so is all that stands before it (Raft 5.4.2). */
  readonly #firstIndex: number;
  /** Weight of the entries of this term that are not committed. */
  #uncommittedBytes = 0;
  #heartbeatMs: number;
  #checkQuorumMs: number;
  #transfer: { readonly to: MemberId; readonly endMs: number } | null = null;

  constructor(core: Core, transitions: Transitions, reads: Reads) {
    this.#core = core;
    this.#transitions = transitions;
    this.#reads = reads;
    this.#heartbeatMs = core.nowMs;
    this.#checkQuorumMs = core.nowMs + core.timing.electionMs;
    const next = core.log.lastIndex + 1;
    for (const member of membersOf(core.configuration)) {
      this.#progress.set(member, new Progress({ next, nowMs: core.nowMs }));
    }
    this.#firstIndex = next;
    this.#append({ kind: "noop", index: next, term: core.term });
  }

  get leader(): MemberId {
    return this.#core.id;
  }

  get deadlineMs(): number {
    const transferMs = this.#transfer?.endMs ?? Number.POSITIVE_INFINITY;
    return Math.min(this.#heartbeatMs, this.#checkQuorumMs, transferMs);
  }

  get isTransferring(): boolean {
    return this.#transfer !== null;
  }

  /** What it knows of each peer, for status. */
  get progress(): ReadonlyMap<MemberId, Progress> {
    return this.#progress;
  }

  propose(command: Uint8Array): ProposeResult {
    if (this.#transfer !== null) return { kind: "refused", reason: "transferring" };
    if (this.#uncommittedBytes > UNCOMMITTED_BYTES_MAX) return { kind: "refused", reason: "overloaded" };
    const { term } = this.#core;
    const index = this.#core.log.lastIndex + 1;
    this.#append({ kind: "command", index, term, command });
    return { kind: "proposed", index, term };
  }

  /**
   * Hands leadership to `to`, or to the voter that is furthest of those that answer (Raft thesis 3.10). False if there
   * is no other voter. Proposals are refused meanwhile; after an election timeout without success they are taken again.
   */
  transferTo(to: MemberId | null): boolean {
    const others = [...votersOf(this.#core.configuration)].filter((voter) => voter !== this.#core.id);
    others.sort((a, b) => this.#progressOf(b).match - this.#progressOf(a).match);
    const target = to ?? others.find((voter) => this.#answers(voter)) ?? others[0];
    if (target === undefined || !others.includes(target)) return false;
    this.#transfer = { to: target, endMs: this.#core.nowMs + this.#core.timing.electionMs };
    this.#maybeFinishTransfer(target);
    return true;
  }

  tick(): void {
    const { nowMs, timing } = this.#core;
    if (this.#transfer !== null && nowMs >= this.#transfer.endMs) this.#transfer = null;
    if (nowMs >= this.#checkQuorumMs) {
      this.#checkQuorumMs = nowMs + timing.electionMs;
      if (!this.#hearsQuorum()) {
        this.#transitions.becomeFollower(null);
        return;
      }
    }
    if (nowMs >= this.#heartbeatMs) this.#sendHeartbeats();
  }

  flush(): void {
    // Reads wait until an entry of this term is committed: only then is the commit index known (Raft thesis 6.4).
    if (this.#core.commit >= this.#firstIndex && this.#reads.beginRound(this.#core.commit)) {
      this.#sendHeartbeats();
      this.#confirmReads();
    }
    for (const [to, progress] of this.#progress) {
      if (to === this.#core.id) continue;
      while (progress.next <= this.#core.log.lastIndex && progress.canSend) this.#sendAppend(to, progress);
    }
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
      case "timeout-now":
        invariant(false, `two leaders in term ${message.term}: ${this.#core.id} and ${message.from}`);
        return;
      default:
      // Votes for the election that is won already.
    }
  }

  /** The own log is durable up to `index`: the leader counts itself only now (Raft thesis 10.2.1). */
  persisted(index: number): void {
    const own = this.#progress.get(this.#core.id);
    if (own?.accepted(index)) this.#maybeCommit();
  }

  #stepAppendResponse(response: AppendResponse): void {
    const progress = this.#progress.get(response.from);
    if (progress === undefined) return;
    progress.heardMs = this.#core.nowMs;
    if (response.hint === null) {
      if (progress.accepted(response.index)) this.#maybeCommit();
      this.#maybeFinishTransfer(response.from);
      return;
    }
    // Where our log has a higher term than the hint, the peer cannot agree: skip that term at once.
    const hintIndex = this.#core.log.lastIndexWithin(response.hint.index, response.hint.term);
    progress.rejected(response.index, hintIndex);
  }

  #stepHeartbeatResponse(response: HeartbeatResponse): void {
    const progress = this.#progress.get(response.from);
    if (progress === undefined) return;
    progress.heardMs = this.#core.nowMs;
    // An append that was lost behind the last one is noticed only now: ask whether the logs agree. But not with every
    // answer: reads bring many of them, and a follower with a slow disk is not to be flooded.
    const { log, nowMs, timing } = this.#core;
    const isBehind = progress.match < log.lastIndex;
    if (isBehind && progress.maybeRetry(nowMs, timing.heartbeatMs / 2))
      this.#sendAppend(response.from, progress);
    progress.confirmedRead(response.readContext);
    this.#confirmReads();
    // The request to campaign may have been lost.
    this.#maybeFinishTransfer(response.from);
  }

  #append(entry: Entry): void {
    this.#core.append([entry]);
    this.#uncommittedBytes += entryBytes(entry);
  }

  #sendAppend(to: MemberId, progress: Progress): void {
    const { log, term, commit, id } = this.#core;
    const previousIndex = progress.next - 1;
    const previousTerm = log.term(previousIndex);
    invariant(previousTerm !== undefined, `${to} needs entry ${progress.next}, which the log does not hold`);
    const entries = progress.canSend ? log.slice(progress.next, log.lastIndex, APPEND_BYTES_MAX) : [];
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    progress.sent(previousIndex + entries.length, bytes);
    const kind = "append-request";
    this.#core.outbox.send({ kind, from: id, to, term, previousIndex, previousTerm, entries, commit });
  }

  #sendHeartbeats(): void {
    const { id, term, commit, outbox, nowMs, timing } = this.#core;
    this.#heartbeatMs = nowMs + timing.heartbeatMs;
    const { context: readContext } = this.#reads;
    for (const [to, progress] of this.#progress) {
      if (to === id) continue;
      const known = Math.min(commit, progress.match);
      outbox.send({ kind: "heartbeat-request", from: id, to, term, commit: known, readContext });
    }
  }

  #maybeCommit(): void {
    const { configuration, log, term, commit, nowMs } = this.#core;
    const index = quorumWatermark(configuration, (voter) => this.#progressOf(voter).match);
    // Entries of older terms are committed only by one of this term behind them (Raft 5.4.2, figure 8).
    if (index <= commit || log.term(index) !== term) return;
    this.#core.commitTo(index);
    const committed = log.slice(Math.max(commit + 1, this.#firstIndex), index);
    for (const entry of committed) this.#uncommittedBytes -= entryBytes(entry);
    this.#heartbeatMs = Math.min(this.#heartbeatMs, nowMs + COMMIT_NOTICE_MS);
  }

  #confirmReads(): void {
    const { configuration, id } = this.#core;
    const newest = this.#reads.context;
    const confirmed = quorumWatermark(configuration, (voter) =>
      voter === id ? newest : this.#progressOf(voter).readContext,
    );
    this.#reads.confirmed(confirmed);
  }

  #maybeFinishTransfer(from: MemberId): void {
    if (this.#transfer?.to !== from) return;
    const { id, term, log, outbox } = this.#core;
    if (this.#progressOf(from).match < log.lastIndex) return;
    outbox.send({ kind: "timeout-now", from: id, to: from, term });
  }

  #hearsQuorum(): boolean {
    const { configuration, id } = this.#core;
    return hasQuorum(configuration, (voter) => voter === id || this.#answers(voter));
  }

  #answers(voter: MemberId): boolean {
    const { nowMs, timing } = this.#core;
    return nowMs - this.#progressOf(voter).heardMs <= timing.electionMs;
  }

  #progressOf(member: MemberId): Progress {
    const progress = this.#progress.get(member);
    invariant(progress !== undefined, `the leader keeps no progress of ${member}`);
    return progress;
  }
}
