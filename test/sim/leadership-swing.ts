import type { FaultMix } from "./fault-mix.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { NOBODY, type World } from "./world.ts";

/** By how much later the first leader hears the others. */
const LATE_MS_MIN = 20;
const LATE_MS_MAX = 1_500;
/** More than an election takes of which all are told. */
const ELECTION_MS_MAX = 600;
const LOOK_MS = 10;
/** The second leader is away for so long. */
const CUT_MS_MIN = 300;
const CUT_MS_MAX = 5_000;

export interface LeadershipSwingOptions {
  readonly world: World;
  readonly random: SimRandom;
  readonly mix: FaultMix;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly isBad: () => boolean;
  readonly log: (text: string) => void;
}

/**
 * Leadership goes to and fro:
 *
 *     first leads -> nobody hears it, and it hears the others late -> second leads, and first still believes that it does itself
 *                 -> second is cut off, and what it said last comes to first only now -> first may lead again
 *
 * So what was asked of a leader, or begun by it, meets its next term, in which it knows less than others were told meanwhile.
 */
export class LeadershipSwing {
  readonly #options: LeadershipSwingOptions;

  constructor(options: LeadershipSwingOptions) {
    this.#options = options;
  }

  start(): void {
    const { random, mix } = this.#options;
    const meanMs = mix.process.swingEveryMs;
    if (!Number.isFinite(meanMs)) return;
    this.#after(meanMs * random.between(0.2, 1.8), () => {
      this.#swing();
      this.start();
    });
  }

  #swing(): void {
    const { random, network, nodes, log } = this.#options;
    const [first] = nodes.filter(isLeading);
    if (first === undefined) return;
    const lateMs = random.magnitude(LATE_MS_MIN, LATE_MS_MAX);
    log(`node ${first.number} is not heard, and hears the others ${Math.round(lateMs)} ms late`);
    for (const other of nodes) {
      if (other === first) continue;
      network.cut(first.number, other.number);
      network.detour(other.number, first.number, lateMs);
      other.process?.replica?.leadership.nodeLost(first.nodeId);
    }
    this.#awaitSecond(first, lateMs, ELECTION_MS_MAX);
  }

  /** It is cut off before the first leader has heard that there is another. */
  #awaitSecond(first: SimNode, lateMs: number, leftMs: number): void {
    this.#after(LOOK_MS, () => {
      const second = this.#options.nodes.find((node) => node !== first && isLeading(node));
      if (second !== undefined) {
        this.#after(lateMs * this.#options.random.float(), () => this.#swingBack(first, second, lateMs));
      } else if (leftMs > 0) this.#awaitSecond(first, lateMs, leftMs - LOOK_MS);
      else this.#mend(first);
    });
  }

  #swingBack(first: SimNode, second: SimNode, lateMs: number): void {
    const { random, network, nodes, log } = this.#options;
    this.#mend(first);
    const lastingMs = random.magnitude(CUT_MS_MIN, CUT_MS_MAX);
    log(`node ${second.number}, which has led since, is cut off`);
    for (const { number } of nodes) {
      if (number === second.number) continue;
      network.cut(number, second.number);
      network.cut(second.number, number);
      this.#after(lastingMs, () => {
        network.heal(number, second.number);
        network.heal(second.number, number);
      });
    }
    // When what it has sent has come, or most of it.
    this.#after(lateMs * random.between(0.8, 1.2), () => {
      for (const { process } of nodes) process?.replica?.leadership.nodeLost(second.nodeId);
    });
  }

  #mend(first: SimNode): void {
    const { network, nodes } = this.#options;
    for (const { number } of nodes) {
      network.heal(first.number, number);
      network.detour(number, first.number, 0);
    }
  }

  #after(ms: number, act: () => void): void {
    const { world, isBad } = this.#options;
    world.at(ms, NOBODY, () => {
      if (isBad()) act();
    });
  }
}

function isLeading({ process }: SimNode): boolean {
  return process?.replica?.leadership.isLeader === true;
}
