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
    const { nodes, tally, wants, log } = this.#options;
    // A paused one answers nobody; what it is told would be known to it alone for as long.
    const node = nodes.find(
      ({ process, clock }) => process?.replica?.leadership.isLeader === true && !clock.isPaused,
    );
    const leader = node?.process;
    if (node === undefined || leader?.replica == null) return;
    const { voters, learners } = leader.replica.status();
    const target = this.#draw(voters, learners);
    if (target === null) return;
    log(`members are to be ${JSON.stringify(target)}`);
    this.#maybeCutOff(node, (member) => target.voters.includes(member) && !voters.includes(member));
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

  /** So that others may take over without what it has begun; alone, or with the new voters, who are a majority of their own perhaps. */
  #maybeCutOff(leader: SimNode, isNew: (member: string) => boolean): void {
    const { world, random, partRandom, mix, nodes, isBad, cutOff } = this.#options;
    if (mix.cutOffRate === 0 || !random.isTrue(mix.cutOffRate)) return;
    const isTogether = partRandom.isTrue(0.5);
    world.at(random.magnitude(CUT_OFF_MS_MIN, CUT_OFF_MS_MAX), NOBODY, () => {
      if (isBad()) cutOff(nodes.filter((node) => node === leader || (isTogether && isNew(node.memberId))));
    });
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
