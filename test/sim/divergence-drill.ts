import { hasQuorum } from "../../agent/raft/quorum.ts";
import type { CopyWatch } from "./copy-watch.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { check } from "./violation.ts";

export interface DivergenceDrillOptions {
  readonly random: SimRandom;
  readonly copies: CopyWatch;
  /** Of the nodes that are well and belong to the cluster. */
  readonly members: () => readonly SimNode[];
  readonly leader: () => SimNode | undefined;
  /** One write is answered. */
  readonly write: () => Promise<void>;
  /** Resolves when it holds, in the time that there is. */
  readonly until: (what: string, isMet: () => boolean) => Promise<void>;
  readonly hasConverged: () => boolean;
  readonly log: (text: string) => void;
}

/**
 * When all is well one member computes one wrong result. The cluster must find out, put that copy out of use and no other one, and
 * give that member a copy like those of the others.
 */
export async function drillDivergence(options: DivergenceDrillOptions): Promise<void> {
  const { random, copies, members, leader, write, until, hasConverged, log } = options;
  // Where a bit has flipped that nobody has found yet, that copy goes for this reason, and the wrong result with it.
  const isSound = () => members().every(({ data }) => !data.files.isFlipped);
  await until("copies with flipped bits are found and replaced", () => isSound() && hasConverged());
  const odd = random.pick(members());
  const { memberId } = odd;
  const before = copies.quarantined.length;
  const right = copies.taintOf(memberId);
  log(`node ${odd.number} is to compute a wrong result`);
  odd.results.force();
  await write();
  // A change that was under way when all was healed may vote it out.
  const isOut = () => !members().includes(odd);
  const newOnes = () => copies.quarantined.slice(before);
  // It may have been found out, and mended, between two looks.
  const isComputed = () => copies.taintOf(memberId) !== right || newOnes().length > 0;
  await until("a wrong result is computed", () => isOut() || isComputed());
  const others = members().filter((node) => node !== odd);
  if (isOut() || others.length === 0) return;
  // Where no majority can speak against it, the leader is right: what it answered was acknowledged (`judge`). A change that is under
  // way may bring that about until the verdict.
  let isLeadersWord = false;
  const isFound = () => {
    const status = leader()?.process?.replica?.status();
    if (leader() === odd && status !== undefined) {
      const able = new Set(members().flatMap((node) => (node === odd ? [] : [node.memberId])));
      isLeadersWord ||= !hasQuorum(status, (member) => able.has(member));
    }
    return newOnes().length > 0;
  };
  await until("who is odd is put out of use", () => isFound() || isOut());
  if (isOut()) return;
  const isAlike = () => new Set(members().map((node) => copies.taintOf(node.memberId))).size === 1;
  const isServing = () => members().every(({ process }) => process?.replica?.status().copyFault === null);
  await until("all copies are the same again", () => isAlike() && isServing());
  check(
    isLeadersWord || newOnes().every((each) => each === memberId),
    () => `${memberId} was odd, and ${newOnes()} were put out of use`,
  );
}
