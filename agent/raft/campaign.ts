import type { Core } from "./core.ts";
import type { Message } from "./messages.ts";
import { blocksQuorum, hasQuorum, votersOf } from "./quorum.ts";
import type { Role, Transitions } from "./role.ts";
import type { MemberId } from "./types.ts";

/**
 * Asking for votes, first without and then with a new term: pre-candidate (Raft thesis 9.6) and candidate (Raft 5.2).
 *
 * Answers are kept by member, so that a doubled one counts once. Requests are repeated to those who have not
 * answered: the network loses datagrams, and a voter that still protected the old leader may have changed its mind.
 */
export class Campaign implements Role {
  readonly kind: "pre-candidate" | "candidate";
  readonly leader = null;
  readonly protectsLeader = false;
  readonly #core: Core;
  readonly #transitions: Transitions;
  readonly #isTransfer: boolean;
  readonly #answers = new Map<MemberId, boolean>();
  readonly #endMs: number;
  #repeatMs: number;

  constructor(
    core: Core,
    transitions: Transitions,
    kind: "pre-candidate" | "candidate",
    options: { readonly isTransfer: boolean },
  ) {
    this.kind = kind;
    this.#core = core;
    this.#transitions = transitions;
    this.#isTransfer = options.isTransfer;
    this.#endMs = core.nowMs + core.drawElectionMs();
    this.#repeatMs = core.nowMs + core.timing.heartbeatMs;
    this.#askVoters();
  }

  get deadlineMs(): number {
    return Math.min(this.#endMs, this.#repeatMs);
  }

  tick(): void {
    if (this.#core.nowMs >= this.#endMs) {
      // mark: raft: an election is not decided in time
      // Split vote or no quorum in reach: from the start, with a fresh random timeout.
      if (this.#core.mayCampaign) this.#transitions.becomePreCandidate();
      else this.#transitions.becomeFollower(null);
      return;
    }
    this.#repeatMs = this.#core.nowMs + this.#core.timing.heartbeatMs;
    this.#askVoters();
  }

  flush(): void {
    // Requests leave when they are made.
  }

  step(message: Message): void {
    switch (message.kind) {
      case "pre-vote-response":
        // A grant echoes the term that it was asked about: one of an earlier campaign says nothing.
        if (this.kind !== "pre-candidate" || (message.granted && message.term !== this.#core.term + 1))
          return;
        this.#count(message.from, message.granted);
        return;
      case "vote-response":
        if (this.kind === "candidate") this.#count(message.from, message.granted);
        return;
      default:
      // Answers to an earlier role of this member: of no use any more.
    }
  }

  #count(member: MemberId, granted: boolean): void {
    // The first answer stands; the network may have doubled it.
    if (this.#answers.has(member)) return;
    this.#answers.set(member, granted);
    const { configuration } = this.#core;
    if (hasQuorum(configuration, (voter) => this.#answers.get(voter) === true)) {
      if (this.kind === "pre-candidate") this.#transitions.becomeCandidate(this.#isTransfer);
      else this.#transitions.becomeLeader();
    } else if (blocksQuorum(configuration, (voter) => this.#answers.get(voter) === false)) {
      this.#transitions.becomeFollower(null);
    }
  }

  #askVoters(): void {
    const core = this.#core;
    const { lastIndex, lastTerm } = core.log;
    for (const to of votersOf(core.configuration)) {
      if (this.#answers.has(to)) continue;
      if (this.kind === "pre-candidate") {
        // Nothing durable is promised, so it may leave at once, the own answer included.
        const term = core.term + 1;
        core.outbox.send(
          to === core.id
            ? { kind: "pre-vote-response", from: core.id, to, term, granted: true }
            : { kind: "pre-vote-request", from: core.id, to, term, lastIndex, lastTerm },
        );
      } else {
        // Held until the own vote is durable. The log need not be: a crash ends the candidacy, and what it takes of the log this
        // member has acknowledged to nobody.
        const { term } = core;
        core.outbox.sendAfterHardState(
          to === core.id
            ? { kind: "vote-response", from: core.id, to, term, granted: true }
            : {
                kind: "vote-request",
                from: core.id,
                to,
                term,
                lastIndex,
                lastTerm,
                transfer: this.#isTransfer,
              },
        );
      }
    }
  }
}
