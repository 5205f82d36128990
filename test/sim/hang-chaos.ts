import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { NOBODY, type World } from "./world.ts";

/** A leader notices after 10 s. */
const HANG_MS_MIN = 500;
const HANG_MS_MAX = 40_000;

export interface HangChaosOptions {
  readonly world: World;
  readonly random: SimRandom;
  /** Infinite: never. */
  readonly everyMs: number;
  readonly nodes: readonly SimNode[];
  readonly isBad: () => boolean;
  readonly log: (text: string) => void;
}

/** Has the databases of nodes hang, for a while. */
export class HangChaos {
  readonly #options: HangChaosOptions;

  constructor(options: HangChaosOptions) {
    this.#options = options;
  }

  start(): void {
    const { world, random, everyMs, nodes, isBad } = this.#options;
    if (!Number.isFinite(everyMs)) return;
    world.at(everyMs * random.between(0.2, 1.8), NOBODY, () => {
      if (!isBad()) return;
      this.#hang(random.pick(nodes));
      this.start();
    });
  }

  #hang(node: SimNode): void {
    const { world, random, isBad, log } = this.#options;
    const ms = random.magnitude(HANG_MS_MIN, HANG_MS_MAX);
    log(`the database of node ${node.number} hangs for ${Math.round(ms)} ms`);
    node.hang.begin();
    world.at(ms, NOBODY, () => {
      // In the good end another one may be under way.
      if (isBad()) node.hang.end();
    });
  }
}
