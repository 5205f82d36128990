import type { Message } from "./messages.ts";
import type { MemberId } from "./types.ts";

/**
 * What a member is at the moment (Raft figure 4, and the pre-candidate of thesis 9.6). A role owns all state that dies with it: leaving it
 * is dropping the object.
 */
export interface Role {
  readonly kind: "follower" | "pre-candidate" | "candidate" | "leader";
  /** Who leads the present term, as far as this member knows. */
  readonly leader: MemberId | null;
  /** True while a leader is known to live: others' campaigns are then ignored (Raft thesis 4.2.3). */
  readonly protectsLeader: boolean;
  /** When `tick` has something to do, in the core's milliseconds. */
  readonly deadlineMs: number;
  /** The deadline has passed. */
  tick(): void;
  /** A message of the present term (or a pre-vote's answer) that is not a request for a vote. */
  step(message: Message): void;
  /** Called before the effects are taken: sends what gathered. */
  flush(): void;
}

/** How a role ends. After a call the role must return at once. */
export interface Transitions {
  becomeFollower(leader: MemberId | null): void;
  becomePreCandidate(): void;
  /** Raises the term. */
  becomeCandidate(isTransfer: boolean): void;
  becomeLeader(): void;
}
