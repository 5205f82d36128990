import { answerLowerTerm, answerVoteRequest } from "./answers.ts";
import { Campaign } from "./campaign.ts";
import type { Core } from "./core.ts";
import { Follower } from "./follower.ts";
import { Leader } from "./leader.ts";
import { isFromLeader, type Message } from "./messages.ts";
import type { Reads } from "./reads.ts";
import type { Role, Transitions } from "./role.ts";
import type { MemberId } from "./types.ts";

/**
 * The part that this member plays at the moment, and how it passes from one to another (Raft figure 4): by itself, when
 * a role ends, or by the term of a message, which goes before all that the message says (Raft 5.1).
 */
export class Roles {
  readonly #core: Core;
  readonly #reads: Reads;
  readonly #transitions: Transitions;
  #current: Role;

  constructor(core: Core, reads: Reads) {
    this.#core = core;
    this.#reads = reads;
    this.#transitions = {
      becomeFollower: (leader) => this.becomeFollower(leader),
      becomePreCandidate: () => this.#campaign("pre-candidate", false),
      becomeCandidate: (isTransfer) => this.#campaign("candidate", isTransfer),
      becomeLeader: () => this.#become(new Leader(core, this.#transitions, reads)),
    };
    this.#current = new Follower(core, this.#transitions, null);
  }

  get current(): Role {
    return this.#current;
  }

  /** Null unless this member leads. */
  get leader(): Leader | null {
    return this.#current instanceof Leader ? this.#current : null;
  }

  /** Null unless this member follows, be it nobody. */
  get follower(): Follower | null {
    return this.#current instanceof Follower ? this.#current : null;
  }

  get isCampaigning(): boolean {
    return this.#current instanceof Campaign;
  }

  becomeFollower(leader: MemberId | null): void {
    this.#become(new Follower(this.#core, this.#transitions, leader));
  }

  step(message: Message): void {
    if (message.term > this.#core.term && !this.#meetHigherTerm(message)) return;
    if (message.term < this.#core.term) {
      answerLowerTerm(this.#core, message);
      return;
    }
    switch (message.kind) {
      case "pre-vote-request":
      case "vote-request":
        if (answerVoteRequest(this.#core, message, this.#current.leader !== null)) {
          this.follower?.voteGranted();
        }
        return;
      default:
        if (isFromLeader(message) && this.isCampaigning) {
          if (!this.#core.isSignOfLife(message)) {
            // mark: raft: a leader that was given up is heard of late
            return;
          }
          this.becomeFollower(message.from);
        }
        this.#current.step(message);
    }
  }

  #become(role: Role): void {
    if (this.#current instanceof Leader) this.#reads.abort();
    this.#current = role;
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
        return !this.#current.protectsLeader;
      case "pre-vote-response":
        // Granted: it echoes the term that we asked about. Refused: the sender's own term, which is news.
        if (message.granted) return true;
        break;
      case "vote-request":
        if (this.#current.protectsLeader && !message.transfer) {
          // mark: raft: a candidate is ignored for a leader that lives
          return false;
        }
        break;
      default:
    }
    this.#core.enterTerm(message.term);
    this.becomeFollower(isFromLeader(message) ? message.from : null);
    return true;
  }
}
