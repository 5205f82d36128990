import { invariant } from "../platform/invariant.ts";
import type { Core } from "./core.ts";
import type { AppendRequest, LeaderMessage, Message, SnapshotRequest } from "./messages.ts";
import type { Role, Transitions } from "./role.ts";
import type { Entry, MemberId } from "./types.ts";

/** Takes the leader's entries, and campaigns when it has not heard from it for an election timeout (Raft 5.2). */
export class Follower implements Role {
  readonly kind = "follower";
  readonly #core: Core;
  readonly #transitions: Transitions;
  #leader: MemberId | null;
  #heardMs: number;
  #deadlineMs: number;

  constructor(core: Core, transitions: Transitions, leader: MemberId | null) {
    this.#core = core;
    this.#transitions = transitions;
    this.#leader = leader;
    this.#heardMs = core.nowMs;
    this.#deadlineMs = core.nowMs + core.drawElectionMs();
  }

  get leader(): MemberId | null {
    return this.#leader;
  }

  get protectsLeader(): boolean {
    return this.#leader !== null && this.#core.nowMs - this.#heardMs < this.#core.timing.electionMs;
  }

  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  tick(): void {
    this.#postpone();
    // The leader is forgotten even by those who may not campaign: they must not protect it from those who may.
    this.#leader = null;
    if (this.#core.mayCampaign) this.#transitions.becomePreCandidate();
  }

  flush(): void {
    // A follower sends nothing by itself.
  }

  /** A vote was given away: the candidate gets a full timeout to win (Raft 5.2). */
  voteGranted(): void {
    this.#postpone();
  }

  /** No leader is believed to be there: forgets it, and campaigns after `delayMs`. Only a hint; pre-vote decides. */
  campaignWithin(delayMs: number): void {
    this.#leader = null;
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#core.nowMs + delayMs);
  }

  /** The state machine was replaced by a snapshot: the leader hears of it once the log has it too. */
  restored(index: number): void {
    if (this.#leader === null) return;
    this.#acknowledge(this.#leader, index);
  }

  step(message: Message): void {
    switch (message.kind) {
      case "append-request":
        this.#heard(message);
        handleAppend(this.#core, message);
        return;
      case "heartbeat-request": {
        this.#heard(message);
        const { id, term, outbox } = this.#core;
        this.#core.commitTo(message.commit);
        this.#core.pace.follow(message.electionMs);
        const { from: to, readContext, sentMs } = message;
        outbox.sendAfterHardState({ kind: "heartbeat-response", from: id, to, term, readContext, sentMs });
        return;
      }
      case "snapshot-request":
        this.#heard(message);
        this.#considerSnapshot(message);
        return;
      case "timeout-now":
        // With a disk that hangs the own vote would leave at some later time, and depose whoever leads then.
        if (this.#core.isVoter && this.#core.mayCampaign) this.#transitions.becomeCandidate(true);
        return;
      default:
      // Answers to an earlier role of this member: of no use any more.
    }
  }

  #considerSnapshot({ from, baseIndex, baseTerm }: SnapshotRequest): void {
    this.#core.learnCommitted({ index: baseIndex, term: baseTerm });
    if (this.#core.commit < baseIndex) {
      this.#core.snapshotFrom = from;
      return;
    }
    // mark: raft: asked to fetch a snapshot that is not needed any more
    this.#acknowledge(from, this.#core.commit);
  }

  /** What is committed here equals the leader's log. */
  #acknowledge(to: MemberId, index: number): void {
    const { id, term } = this.#core;
    this.#core.sendAfterEverything({ kind: "append-response", from: id, to, term, index, hint: null });
  }

  #heard(message: LeaderMessage): void {
    const { term } = this.#core;
    invariant(this.#leader === null || this.#leader === message.from, `two leaders in term ${term}`);
    if (!this.#core.isSignOfLife(message)) return;
    this.#leader = message.from;
    this.#heardMs = this.#core.nowMs;
    this.#postpone();
  }

  #postpone(): void {
    this.#deadlineMs = this.#core.nowMs + this.#core.drawElectionMs();
  }
}

/** Raft 5.3, the receiver's side of AppendEntries. */
function handleAppend(core: Core, request: AppendRequest): void {
  const { from: to, previousIndex, previousTerm, entries } = request;
  const answer = { kind: "append-response", from: core.id, to, term: core.term } as const;

  if (previousIndex < core.commit) {
    // mark: raft: an append comes late, behind what is committed
    // Late or doubled. What is committed here equals the leader's log, so tell it how far that goes.
    core.sendAfterEverything({ ...answer, index: core.commit, hint: null });
    return;
  }
  if (core.log.term(previousIndex) !== previousTerm) {
    // mark: raft: an append is rejected, the logs differ
    const hintIndex = core.log.lastIndexWithin(previousIndex, previousTerm);
    const hintTerm = core.log.term(hintIndex);
    invariant(hintTerm !== undefined, `no term at ${hintIndex}, which the log holds`);
    const hint = { index: hintIndex, term: hintTerm };
    core.sendAfterEverything({ ...answer, index: previousIndex, hint });
    return;
  }
  const added = entriesToAdd(core, entries);
  const first = added[0];
  if (first !== undefined) {
    if (first.index <= core.log.lastIndex) {
      // mark: raft: a new leader's entries replace others
      core.truncate(first.index);
    }
    core.append(added);
  }
  // Only up to what this request vouches for: behind it may stand entries that another leader left.
  const agreedIndex = previousIndex + entries.length;
  core.commitTo(Math.min(request.commit, agreedIndex));
  core.sendAfterEverything({ ...answer, index: agreedIndex, hint: null });
}

/** Those behind the last one that the log has already. An overtaken request adds, and cuts, nothing. */
function entriesToAdd(core: Core, entries: readonly Entry[]): readonly Entry[] {
  const start = entries.findIndex((entry) => core.log.term(entry.index) !== entry.term);
  return start === -1 ? [] : entries.slice(start);
}
