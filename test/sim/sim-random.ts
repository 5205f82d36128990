import { crc32 } from "node:zlib";
import type { Random } from "../../agent/platform/random.ts";
import { type Chance, chanceFrom } from "../raft/chance.ts";

/** Chance for the agent and for the world around it, from one number. */
export class SimRandom implements Random, Chance {
  readonly #chance: Chance;

  constructor(seed: number) {
    this.#chance = chanceFrom(seed);
  }

  /** A stream that belongs to one purpose of a run: whatever else is drawn, or is added later, leaves it alone. */
  static forPurpose(seed: number, purpose: string): SimRandom {
    return new SimRandom(crc32(`${seed} ${purpose}`));
  }

  float(): number {
    return this.#chance.float();
  }

  below(bound: number): number {
    return this.#chance.below(bound);
  }

  pick<Item>(items: readonly Item[]): Item {
    return this.#chance.pick(items);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  isTrue(probability: number): boolean {
    return this.float() < probability;
  }

  between(low: number, high: number): number {
    return low + this.float() * (high - low);
  }

  /** Evenly over the orders of magnitude between two positive numbers. */
  magnitude(low: number, high: number): number {
    return low * (high / low) ** this.float();
  }

  /** A stream of its own, so that more or less chance in one place leaves the others alone. */
  fork(): SimRandom {
    return new SimRandom(this.below(2 ** 31));
  }
}
