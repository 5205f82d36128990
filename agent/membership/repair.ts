import { nodeIdOf } from "../replica/member-id.ts";
import type { Members, PresentMembers } from "./rejoin.ts";

/** How a leader sees another member. */
export interface PeerProgress {
  readonly member: string;
  /** Last entry that it is known to hold; 0 until it has told. */
  readonly match: number;
  readonly isActive: boolean;
}

export interface RepairInput extends PresentMembers {
  /** Null unless this node leads. */
  readonly peers: readonly PeerProgress[] | null;
  readonly commitIndex: number;
}

/** A learner this close to the leader's commit takes over without that commits wait for it. */
const LAG_MAX = 1_000;

/**
 * The next step towards one member a node, or null. A node that comes back as another member is a learner beside the voter
 * that it was: once the learner has caught up, it takes the voter's place in one step, so that no vote is ever missing that
 * was there before.
 *
 * It goes by nothing but the present state, so that any leader can go on where the one before it stopped.
 */
export function nextRepair({ voters, outgoing, learners, peers, commitIndex }: RepairInput): Members | null {
  // One change at a time.
  if (peers === null || outgoing.length > 0) return null;
  const returner = learners.find((learner) => {
    const peer = peers.find(({ member }) => member === learner);
    // A new leader takes everyone for active that it has not heard of yet.
    const hasAnswered = peer?.isActive === true && peer.match > 0;
    const isCaughtUp = hasAnswered && peer.match + LAG_MAX >= commitIndex;
    return isCaughtUp && voters.some((voter) => isSameNode(voter, learner));
  });
  if (returner === undefined) return null;
  return {
    voters: voters.map((voter) => (isSameNode(voter, returner) ? returner : voter)),
    learners: learners.filter((learner) => learner !== returner),
  };
}

function isSameNode(one: string, other: string): boolean {
  return nodeIdOf(one) === nodeIdOf(other);
}
