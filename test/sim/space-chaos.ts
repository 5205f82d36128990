import { LEVEL_NAMES } from "./sim-disk-space.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import type { SpaceMix } from "./space-mix.ts";
import { NOBODY, type World } from "./world.ts";

const LEVELS_MAX = 4;

export interface SpaceChaosOptions {
  readonly world: World;
  readonly random: SimRandom;
  readonly mix: SpaceMix;
  readonly nodes: readonly SimNode[];
  readonly isBad: () => boolean;
  readonly log: (text: string) => void;
}

/** Fills the file systems of nodes, by and by, and makes room on them again. */
export class SpaceChaos {
  readonly #options: SpaceChaosOptions;

  constructor(options: SpaceChaosOptions) {
    this.#options = options;
  }

  start(): void {
    const { world, random, mix, nodes, isBad } = this.#options;
    if (!Number.isFinite(mix.fillEveryMs)) return;
    world.at(mix.fillEveryMs * random.between(0.2, 1.8), NOBODY, () => {
      if (!isBad()) return;
      const victims = random.isTrue(mix.allRate) ? nodes : [random.pick(nodes)];
      for (const victim of victims) this.#fill(victim, 1 + random.below(LEVELS_MAX));
      this.start();
    });
  }

  /** Goes through so many levels, and in the end there is room. */
  #fill(node: SimNode, levels: number): void {
    const { world, random, isBad, log } = this.#options;
    if (!isBad()) return;
    const level = levels === 0 ? "roomy" : random.pick(LEVEL_NAMES);
    log(`the disk of node ${node.number}: ${level}`);
    node.space.become(level);
    if (levels === 0) return;
    world.at(random.magnitude(300, 8_000), NOBODY, () => this.#fill(node, levels - 1));
  }
}
