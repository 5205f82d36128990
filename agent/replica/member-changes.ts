import { TrivetError } from "../platform/trivet-error.ts";
import { type ConfigurationTarget, isSameSet } from "../raft/configuration-change.ts";
import type { ChangeRefusal, ProposeResult } from "../raft/leader.ts";
import type { MemberId } from "../raft/types.ts";
import type { AppliedMembership } from "./applier.ts";
import { notLeader, overloaded } from "./sql-errors.ts";
import type { Waiters } from "./waiters.ts";

export interface MemberChangesOptions {
  readonly waiters: Waiters;
  readonly isLeader: () => boolean;
  /** Where the newest configuration stands in the log. */
  readonly configurationIndex: () => number;
  readonly propose: (target: ConfigurationTarget) => ProposeResult<ChangeRefusal>;
  /** What this member has applied. */
  readonly membership: () => AppliedMembership | null;
}

/** Changes who belongs to the cluster, from request to the applied result. */
export class MemberChanges {
  readonly #options: MemberChangesOptions;
  #isCopied: (voters: readonly MemberId[]) => boolean = () => true;

  constructor(options: MemberChangesOptions) {
    this.#options = options;
  }

  /** `isCopied`: a majority of these is known to have a copy of the data that it trusts. */
  requireCopies(isCopied: (voters: readonly MemberId[]) => boolean): void {
    this.#isCopied = isCopied;
  }

  /**
   * Makes these the members, if this member leads; resolves once that is applied here. New voters should have caught up as
   * learners. Rejects with `not-leader`, `change-pending`, `member-retired`, `no-copy`, `invalid-configuration`, `overloaded`
   * (nothing was done), `timeout` (unknown) or `stopping`.
   */
  async change(target: ConfigurationTarget, timeoutMs: number): Promise<void> {
    const { waiters, membership } = this.#options;
    waiters.throwIfFailed();
    const index = this.#propose(target);
    if (index === null) return;
    const isSettled = (): boolean => {
      const applied = membership();
      return applied !== null && applied.index >= index && applied.configuration.outgoing.length === 0;
    };
    await waiters.until(isSettled, timeoutMs, changeTimeout);
    // Something else stands there, of a newer leader.
    if (!isTarget(membership(), target)) throw notLeader();
  }

  /** Where the first entry of the change stands; null if there is nothing to change. */
  #propose(target: ConfigurationTarget): number | null {
    const { isLeader, configurationIndex, propose, membership } = this.#options;
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
    const movesVotes = applied === null || !isSameSet(applied.configuration.voters, target.voters);
    if (movesVotes && target.voters.length > 0 && !this.#isCopied(target.voters)) {
      // mark: replica: voters without a copy were refused
      throw noCopy();
    }
    const proposed = propose(target);
    if (proposed.kind === "proposed") return proposed.index;
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
    "No majority of these voters is known to have a copy of the data: nothing was done. Make them learners first, and try again once they have one.",
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
