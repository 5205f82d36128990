import { LEVEL_NAMES } from "./sim-disk-space.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";

/** How often one disk without which there is a quorum gets room only later, when the others serve. */
const TIGHT_RATE = 0.3;
/** Of the tight disks: the leader's, if it is one of those. */
const TIGHT_LEADER_RATE = 0.7;
const TIGHT_LEVELS = LEVEL_NAMES.filter((level) => level !== "roomy");
/** Of the other times: how often a database hangs until the others serve, and of those: the leader's. */
const HANG_RATE = 0.2;
const HANG_LEADER_RATE = 0.7;
/** Of the other times: how often the leader hears nobody until the others serve without it. */
const DEAF_RATE = 0.6;

/** What one of the healed, without which there is a quorum, still suffers from. The others must go on meanwhile. */
export interface Ailment {
  readonly node: SimNode;
  /** Requests come to it, and are answered. */
  readonly answers: boolean;
  /** What must have come true, besides that the others serve, before it is cured. */
  readonly wanted: string;
  isMet(leader: SimNode | undefined): boolean;
  cure(): void;
}

export interface AilmentOptions {
  readonly random: SimRandom;
  /** Of what the leader suffers from. */
  readonly leaderRandom: SimRandom;
  readonly hangRandom: SimRandom;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly healed: readonly SimNode[];
  readonly leader: SimNode | undefined;
  readonly log: (text: string) => void;
}

/** Null: all are well. */
export function drawAilment(options: AilmentOptions): Ailment | null {
  const { random, leaderRandom, hangRandom, healed, leader } = options;
  const spare = (): readonly SimNode[] => healed.filter((node) => node.isSpare);
  if (random.isTrue(TIGHT_RATE)) return tighten(spare(), options);
  if (hangRandom.isTrue(HANG_RATE)) return hang(spare(), options);
  if (leader === undefined || !leaderRandom.isTrue(DEAF_RATE) || !leader.isSpare) return null;
  return deafen(leader, options);
}

/** Its disk has no room: it may follow, and does not lead where another can. */
function tighten(spare: readonly SimNode[], options: AilmentOptions): Ailment | null {
  const { random, leaderRandom, leader, log } = options;
  if (spare.length === 0) return null;
  const drawn = random.pick(spare);
  const node = leader?.isSpare && leaderRandom.isTrue(TIGHT_LEADER_RATE) ? leader : drawn;
  const level = random.pick(TIGHT_LEVELS);
  log(`the disk of node ${node.number}: ${level}`);
  node.space.become(level);
  return {
    node,
    answers: true,
    wanted: "who has no room leads no more",
    isMet: (leader) => leader !== undefined && leader !== node,
    cure: () => node.space.become("roomy"),
  };
}

/** Its database does nothing, though it answers heartbeats: it may follow, and does not lead where another can. */
function hang(spare: readonly SimNode[], options: AilmentOptions): Ailment | null {
  const { hangRandom, leader, log } = options;
  if (spare.length === 0) return null;
  const drawn = hangRandom.pick(spare);
  const node = leader?.isSpare && hangRandom.isTrue(HANG_LEADER_RATE) ? leader : drawn;
  log(`the database of node ${node.number} hangs`);
  node.hang.begin();
  return {
    node,
    answers: true,
    wanted: "whose database hangs leads no more",
    isMet: (leader) => leader !== undefined && leader !== node,
    cure: () => node.hang.end(),
  };
}

/** It is heard, and hears nobody: by what it says nobody could tell that it is of no use as a leader, so it must step down by itself. */
function deafen(node: SimNode, { network, nodes, log }: AilmentOptions): Ailment {
  log(`node ${node.number} hears nobody`);
  for (const { number } of nodes) if (number !== node.number) network.cut(number, node.number);
  return {
    node,
    answers: false,
    wanted: "who hears nobody leads no more",
    isMet: (leader) => leader !== undefined && leader !== node,
    cure: () => network.healAll(),
  };
}
