import type { Clock } from "../platform/clock.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { type ConfigurationTarget, isSameSet } from "../raft/configuration-change.ts";
import type { ChangeRefusal, ProposeResult } from "../raft/leader.ts";
import type { MemberId } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";
import type { AppliedMembership } from "./applier.ts";
import { Deadline } from "./deadline.ts";
import { notLeader, overloaded } from "./sql-errors.ts";
import type { Waiters } from "./waiters.ts";

export interface MemberChangesOptions {
  readonly clock: Clock;
  readonly waiters: Waiters;
  readonly isLeader: () => boolean;
  /** Where the newest configuration stands in the log. */
  readonly configurationIndex: () => number;
  readonly propose: (target: ConfigurationTarget) => ProposeResult<ChangeRefusal>;
  /** Of the entry at `index`; undefined where the log does not hold it any more. */
  readonly termAt: (index: number) => number | undefined;
  /** What this member has applied. */
  readonly membership: () => AppliedMembership | null;
}

/** Resolves with true, by then, if a majority of these has a copy of the data that it trusts. */
type CopyCheck = (voters: readonly MemberId[], timeoutMs: number) => Promise<boolean>;

/** Changes who belongs to the cluster, from request to the applied result. */
export class MemberChanges {
  readonly #options: MemberChangesOptions;
  #isCopied: CopyCheck = async () => true;

  constructor(options: MemberChangesOptions) {
    this.#options = options;
  }

  /** Asks `isCopied` before every change of the voters. */
  requireCopies(isCopied: CopyCheck): void {
    this.#isCopied = isCopied;
  }

  /**
   * Makes these the members, if this member leads; resolves once that is applied here. New voters should have caught up as
   * learners. Rejects with `not-leader`, `change-pending`, `member-retired`, `no-copy`, `invalid-configuration`, `overloaded`,
   * `stopping` (nothing was done), `timeout` or `outcome-unknown`.
   */
  async change(target: ConfigurationTarget, timeoutMs: number): Promise<void> {
    const { waiters, membership, termAt, clock } = this.#options;
    const deadline = new Deadline(clock, timeoutMs);
    waiters.throwIfFailed();
    this.#assertPossible(target);
    await this.#assertCopied(target, deadline);
    waiters.throwIfFailed();
    const position = this.#propose(target);
    if (position === null) return;
    await this.#untilSettled(position.index, deadline);
    if (isTarget(membership(), target)) return;
    // Something else stands there, of a newer leader; or another change has followed, which it could not before this one was done.
    const term = termAt(position.index);
    if (term === undefined) throw changeUnknown();
    if (term !== position.term) throw notLeader();
    // mark: replica: a change of members was done, and another one followed
  }

  /** Resolves once the change at `index`, or what took its place, is done and applied. */
  async #untilSettled(index: number, deadline: Deadline): Promise<void> {
    const { waiters, membership } = this.#options;
    const isSettled = (): boolean => {
      const applied = membership();
      return applied !== null && applied.index >= index && applied.configuration.outgoing.length === 0;
    };
    try {
      await waiters.until(isSettled, deadline.remainingMs, changeTimeout);
    } catch (error) {
      // Others may bring to its end what this member has proposed before it stopped.
      throw isTrivetError(error, "stopping") ? changeUnknown(error) : error;
    }
  }

  #assertPossible(target: ConfigurationTarget): void {
    const { isLeader, configurationIndex, membership } = this.#options;
    if (!isLeader()) throw notLeader();
    const applied = membership();
    // Who left with a change is known once it is applied.
    if ((applied?.index ?? 0) < configurationIndex()) throw changePending();
    const retired = [...target.voters, ...target.learners].find((id) => applied?.retired.includes(id));
    if (retired !== undefined) {
      // mark: replica: a member that left was refused
      throw new TrivetError(
        "member-retired",
        `Member ${retired} has left the cluster and its vote may be lost: start the node with an empty data directory, so that it comes as a new member.`,
      );
    }
  }

  async #assertCopied({ voters }: ConfigurationTarget, deadline: Deadline): Promise<void> {
    const applied = this.#options.membership();
    const movesVotes = applied === null || !isSameSet(applied.configuration.voters, voters);
    if (!movesVotes || voters.length === 0) return;
    if (await this.#isCopied(voters, deadline.remainingMs)) return;
    // mark: replica: voters without a copy were refused
    throw noCopy();
  }

  /** Where the first entry of the change stands; null if there is nothing to change. */
  #propose(target: ConfigurationTarget): LogPosition | null {
    // Much may have happened since it was asked for.
    this.#assertPossible(target);
    const proposed = this.#options.propose(target);
    if (proposed.kind === "proposed") return { index: proposed.index, term: proposed.term };
    switch (proposed.reason) {
      case "unchanged":
        return null;
      case "change-pending":
        throw changePending();
      case "invalid-configuration":
        throw new TrivetError(
          "invalid-configuration",
          "A cluster needs at least one voter, and each member once: as a voter or as a learner.",
        );
      case "overloaded":
        throw overloaded();
      case "not-leader":
      case "transferring":
        throw notLeader();
    }
  }
}

function isTarget(applied: AppliedMembership | null, target: ConfigurationTarget): boolean {
  if (applied === null) return false;
  const { voters, learners } = applied.configuration;
  return isSameSet(voters, target.voters) && isSameSet(learners, target.learners);
}

/** Whoever leads them might have nobody to get a copy from, once the others have left. */
function noCopy(): TrivetError {
  return new TrivetError(
    "no-copy",
    "No majority of these voters says that it has a copy of the data: nothing was done. Make them learners first, and try again once they have one.",
  );
}

function changePending(): TrivetError {
  return new TrivetError(
    "change-pending",
    "Another change of the members is under way: nothing was done. Try again when it is done.",
  );
}

function changeTimeout(): TrivetError {
  return new TrivetError(
    "timeout",
    "The change of the members was not done in time: it may or may not take effect. Look at the members before you repeat it.",
  );
}

function changeUnknown(cause?: unknown): TrivetError {
  return new TrivetError(
    "outcome-unknown",
    "What became of the change of the members is not known here: it may or may not take effect. Look at the members before you repeat it.",
    { cause },
  );
}
