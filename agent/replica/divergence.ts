import { hasQuorum, votersOf } from "../raft/quorum.ts";
import type { Configuration, MemberId } from "../raft/types.ts";

/**
 * Finds the member whose state machine went another way (design 5). Every member folds each result into a running hash;
 * after the same entry it is the same everywhere, and once it differs it never meets again. So two members were the same up to the
 * newest index where both know their hash and it is one, and went apart before the oldest where it is not.
 */

/** The running hash of a member's results after the entry at `index`. */
export interface Digest {
  readonly index: number;
  readonly hash: Uint8Array;
}

export type Comparison = "same" | "differs" | "unknown";

/** Every member knows its hash after the multiples of this, however its entries came. */
export const DIGEST_STRIDE = 1_024;
/** Landmarks are the newest of these multiples. */
const LANDMARK_STRIDES = [1, 4, 16, 64, 256, 1_024].map((factor) => factor * DIGEST_STRIDE);
/** With two, members whose newest entries are no further apart than the stride have one in common. */
const LANDMARKS_OF_STRIDE = 2;

/** Enough for what a follower reports now, when the leader is some batches further. */
const RECENT_MAX = 64;
/** Of those, what a member tells: where little is written, they are what it has in common with others. */
const RECENT_TOLD = 16;

/**
 * The digests that a member remembers: the newest, and landmarks further and further back. Under load the newest of two members are
 * of other entries, but some landmark is the same entry.
 */
export class DigestRing {
  #recent: Digest[] = [];
  #landmarks: Digest[] = [];

  /** Oldest first. */
  get digests(): readonly Digest[] {
    return this.#with(this.#recent);
  }

  /** What others are told of them, likewise. */
  get told(): readonly Digest[] {
    return this.#with(this.#recent.slice(-RECENT_TOLD));
  }

  record(digest: Digest): void {
    const newest = this.#recent.at(-1);
    if (newest?.index === digest.index) this.#recent.pop();
    this.#recent.push(digest);
    if (this.#recent.length > RECENT_MAX) this.#recent.shift();
    if (digest.index % DIGEST_STRIDE !== 0) return;
    const known = this.#landmarks.filter(({ index }) => index !== digest.index);
    this.#landmarks = landmarksAmong([...known, digest]);
  }

  /** What was recorded is of a state that was replaced. */
  clear(): void {
    this.#recent = [];
    this.#landmarks = [];
  }

  #with(recent: readonly Digest[]): readonly Digest[] {
    const fromIndex = recent[0]?.index ?? 0;
    return [...this.#landmarks.filter(({ index }) => index < fromIndex), ...recent];
  }
}

/** Of `digests`, oldest first. */
function landmarksAmong(digests: readonly Digest[]): Digest[] {
  const kept = LANDMARK_STRIDES.flatMap((stride) =>
    digests.filter(({ index }) => index % stride === 0).slice(-LANDMARKS_OF_STRIDE),
  );
  return digests.filter((digest) => kept.includes(digest));
}

/** Both know their hash after this entry. */
interface Common {
  readonly index: number;
  readonly isSame: boolean;
}

export function compareDigests(some: readonly Digest[], others: readonly Digest[]): Comparison {
  const common = newestCommon(some, others);
  if (common === null) return "unknown";
  return common.isSame ? "same" : "differs";
}

/** Oldest first. */
function allCommon(some: readonly Digest[], others: readonly Digest[]): readonly Common[] {
  return some.flatMap(({ index, hash }) => {
    const other = others.find((each) => each.index === index);
    return other === undefined ? [] : [{ index, isSame: isEqual(hash, other.hash) }];
  });
}

/** Null if there is none. */
function newestCommon(some: readonly Digest[], others: readonly Digest[]): Common | null {
  return allCommon(some, others).at(-1) ?? null;
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
  /** These differ from the leader, and who is right shows when others have told. */
  | { readonly kind: "undecided"; readonly members: readonly MemberId[] };

/**
 * Who is to be resynced. The majority of the voters is right; where there is none (two voters, or three that all differ),
 * the leader is: its state is what clients were answered from. A voter that does not answer is not waited for.
 */
export function judge({ leader, configuration, digests, answering }: JudgementInput): Judgement {
  const voters = [...votersOf(configuration)];
  const isQuorum = (members: readonly MemberId[]): boolean =>
    hasQuorum(configuration, (member) => members.includes(member));
  const digestsOf = (member: MemberId): readonly Digest[] => digests.get(member) ?? [];
  /**
   * The oldest entry after which a member is known to differ from the leader; null if it is not. The newest one would be another with
   * each report, and always ahead of what the others have told.
   */
  const oddAt = (member: MemberId): number | null =>
    allCommon(digestsOf(member), digestsOf(leader)).find(({ isSame }) => !isSame)?.index ?? null;
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
  return decided.length === 0
    ? { kind: "undecided", members: odd }
    : { kind: "odd-members", members: decided };
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
