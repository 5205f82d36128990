import type { FaultMix } from "./fault-mix.ts";
import { endOfChange } from "./request-end.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import type { Tally } from "./tally.ts";
import { NOBODY, type World } from "./world.ts";

interface Target {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}

const CHANGE_TIMEOUT_MS = 5_000;

/** When the leader is cut off: at times before it tells anybody of the change, at times behind. */
const CUT_OFF_MS_MIN = 0.01;
const CUT_OFF_MS_MAX = 100;

/** Of the changes in which the leader is cut off: together with the new voters. */
const TOGETHER_RATE = 0.5;
/** Of the same: it changes places with all other voters. */
const TAKE_OVER_RATE = 0.4;

export interface OperatorOptions {
  readonly world: World;
  readonly random: SimRandom;
  readonly mix: FaultMix["operator"];
  readonly nodes: readonly SimNode[];
  /** True if a majority of these voters is not lost. */
  readonly canRely: (voters: readonly string[]) => boolean;
  /** These voters are asked for; to be called with that once they are not any more. */
  readonly wants: (voters: readonly string[]) => () => void;
  readonly isBad: () => boolean;
  /** Of who is cut off together with the leader. */
  readonly partRandom: SimRandom;
  readonly cutOff: (part: readonly SimNode[]) => void;
  readonly tally: Tally;
  readonly log: (text: string) => void;
}

/** Changes who belongs to the cluster: adds, promotes, demotes, removes, swaps; and lets who left come back as somebody new. */
export class Operator {
  readonly #options: OperatorOptions;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  start(): void {
    const { world, random, mix, isBad } = this.#options;
    if (!Number.isFinite(mix.changeEveryMs)) return;
    world.at(mix.changeEveryMs * random.between(0.2, 1.8), NOBODY, () => {
      if (!isBad()) return;
      this.#act().catch((error: unknown) => world.end({ kind: "violation", error }));
      this.start();
    });
  }

  async #act(): Promise<void> {
    const { nodes, random, mix, partRandom, tally, wants, log } = this.#options;
    // A paused one answers nobody; what it is told would be known to it alone for as long.
    const node = nodes.find(
      ({ process, clock }) => process?.replica?.leadership.isLeader === true && !clock.isPaused,
    );
    const leader = node?.process;
    if (node === undefined || leader?.replica == null) return;
    const { voters, learners } = leader.replica.status();
    const drawn = this.#draw(voters, learners);
    if (drawn === null) return;
    const isCutOff = mix.cutOffRate > 0 && random.isTrue(mix.cutOffRate);
    const mayTakeOver = isCutOff && partRandom.isTrue(TAKE_OVER_RATE);
    const takeOver = mayTakeOver ? this.#takeOver(node.memberId, voters, learners) : null;
    const target = takeOver ?? drawn;
    log(`members are to be ${JSON.stringify(target)}`);
    const isNew = (id: string) => target.voters.includes(id) && !voters.includes(id);
    const isTogether = takeOver !== null || partRandom.isTrue(TOGETHER_RATE);
    if (isCutOff) this.#cutOff(node, (id) => isTogether && isNew(id));
    const isOver = wants(target.voters);
    try {
      const change = leader.whileAlive(leader.replica.members.change(target, CHANGE_TIMEOUT_MS));
      await tally.count("change of members", change);
    } catch (error) {
      endOfChange(error);
    } finally {
      isOver();
    }
  }

  /** So that others may lead without what it has begun; with those of whom it may think that they are enough. */
  #cutOff(leader: SimNode, isWithIt: (member: string) => boolean): void {
    const { world, random, nodes, isBad, cutOff } = this.#options;
    world.at(random.magnitude(CUT_OFF_MS_MIN, CUT_OFF_MS_MAX), NOBODY, () => {
      if (isBad()) cutOff(nodes.filter((node) => node === leader || isWithIt(node.memberId)));
    });
  }

  /** Of the old voters only the leader stays: the new ones have a majority without any of the others. */
  #takeOver(leader: string, voters: readonly string[], learners: readonly string[]): Target | null {
    const target = { voters: [leader, ...learners], learners: voters.filter((id) => id !== leader) };
    return this.#options.canRely(target.voters) ? target : null;
  }

  #draw(voters: readonly string[], learners: readonly string[]): Target | null {
    const { random, nodes, canRely } = this.#options;
    const present = nodes.filter(({ isOut }) => !isOut).map(({ memberId }) => memberId);
    // Who was lost goes first, so that a newcomer may take its place.
    const next = {
      voters: voters.filter((id) => present.includes(id) || random.isTrue(0.3)),
      learners: learners.filter((id) => present.includes(id)),
    };
    for (let changes = 1 + random.below(3); changes > 0; changes -= 1) {
      const id = random.pick(present);
      const role = random.pick(["voter", "voter", "learner", "none"] as const);
      next.voters = next.voters.filter((other) => other !== id);
      next.learners = next.learners.filter((other) => other !== id);
      if (role === "voter") next.voters.push(id);
      if (role === "learner") next.learners.push(id);
    }
    return next.voters.length > 0 && canRely(next.voters) ? next : null;
  }
}
