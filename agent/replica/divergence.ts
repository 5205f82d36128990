import { hasQuorum, votersOf } from "../raft/quorum.ts";
import type { Configuration, MemberId } from "../raft/types.ts";

/**
 * Finds the member whose state machine went another way (design 5). Every member folds each result into a running hash;
 * after the same entry it is the same everywhere, and once it differs it never meets again. So two members are compared by
 * the newest index that both know their hash at.
 */

/** The running hash of a member's results after the entry at `index`. */
export interface Digest {
  readonly index: number;
  readonly hash: Uint8Array;
}

export type Comparison = "same" | "differs" | "unknown";

/** Enough for what a follower reports now, when the leader is some batches further. */
const RING_MAX = 64;

/** The digests that a member remembers, oldest first. */
export class DigestRing {
  #digests: Digest[] = [];

  get digests(): readonly Digest[] {
    return this.#digests;
  }

  record(digest: Digest): void {
    const newest = this.#digests.at(-1);
    if (newest?.index === digest.index) this.#digests.pop();
    this.#digests.push(digest);
    if (this.#digests.length > RING_MAX) this.#digests.shift();
  }

  /** What was recorded is of a state that was replaced. */
  clear(): void {
    this.#digests = [];
  }
}

export function compareDigests(some: readonly Digest[], others: readonly Digest[]): Comparison {
  const common = newestCommon(some, others);
  if (common === null) return "unknown";
  return common.isSame ? "same" : "differs";
}

/** The newest entry after which both know their hash; null if there is none. */
function newestCommon(
  some: readonly Digest[],
  others: readonly Digest[],
): { readonly index: number; readonly isSame: boolean } | null {
  for (const { index, hash } of some.toReversed()) {
    const other = others.find((each) => each.index === index);
    if (other !== undefined) return { index, isSame: isEqual(hash, other.hash) };
  }
  return null;
}

export interface JudgementInput {
  readonly leader: MemberId;
  readonly configuration: Configuration;
  /** What each member, the leader too, last told of itself. */
  readonly digests: ReadonlyMap<MemberId, readonly Digest[]>;
  /** Members that can be expected to tell, because they answer. */
  readonly answering: ReadonlySet<MemberId>;
}

export type Judgement =
  /** These went another way than the leader and, as far as can be asked, than the majority. */
  | { readonly kind: "odd-members"; readonly members: readonly MemberId[] }
  /** A majority of the voters agrees on another state than the leader's: `successor` is one of them, that answers if any does. */
  | { readonly kind: "odd-leader"; readonly successor: MemberId }
  /** Some differ, and who is right shows when the others have told. */
  | { readonly kind: "undecided" };

/**
 * Who is to be resynced. The majority of the voters is right; where there is none (two voters, or three that all differ),
 * the leader is: its state is what clients were answered from. A voter that does not answer is not waited for.
 */
export function judge({ leader, configuration, digests, answering }: JudgementInput): Judgement {
  const voters = [...votersOf(configuration)];
  const isQuorum = (members: readonly MemberId[]): boolean =>
    hasQuorum(configuration, (member) => members.includes(member));
  const digestsOf = (member: MemberId): readonly Digest[] => digests.get(member) ?? [];
  /** Where a member is known to differ from the leader; null if it is not. */
  const oddAt = (member: MemberId): number | null => {
    const common = newestCommon(digestsOf(member), digestsOf(leader));
    return common === null || common.isSame ? null : common.index;
  };
  /** Two were the same after the entry at `index`. That they were before it says nothing of it: they may differ since. */
  const agree = (one: MemberId, other: MemberId, index: number): boolean => {
    if (one === other) return true;
    const common = newestCommon(digestsOf(one), digestsOf(other));
    return common?.isSame === true && common.index >= index;
  };
  const odd = [...digests.keys()].filter((member) => oddAt(member) !== null);
  if (odd.length === 0) return { kind: "odd-members", members: [] };

  const right = voters.filter((voter) => {
    const index = oddAt(voter);
    return index !== null && isQuorum(voters.filter((other) => agree(other, voter, index)));
  });
  const successor = right.find((voter) => answering.has(voter)) ?? right[0];
  if (successor !== undefined) return { kind: "odd-leader", successor };

  const decided = odd.filter((member) => {
    const index = oddAt(member) ?? 0;
    /** It may side with `member` yet: it has not told of that entry, or nothing of it that both have told of. */
    const isOpen = (voter: MemberId): boolean => {
      if (voter === member || voter === leader || !answering.has(voter)) return false;
      if ((newestCommon(digestsOf(voter), digestsOf(leader))?.index ?? -1) < index) return true;
      const common = newestCommon(digestsOf(voter), digestsOf(member));
      return oddAt(voter) !== null && (common === null || (common.isSame && common.index < index));
    };
    return isQuorum(voters.filter((voter) => agree(voter, leader, index))) || !voters.some(isOpen);
  });
  return decided.length === 0 ? { kind: "undecided" } : { kind: "odd-members", members: decided };
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
