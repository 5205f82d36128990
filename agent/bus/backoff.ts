import type { Random } from "../platform/random.ts";

/** Waits between attempts that double from `minMs` to `maxMs`, each shortened by up to half at random. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: Random;
  #attempts = 0;

  constructor(minMs: number, maxMs: number, random: Random) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  nextMs(): number {
    const ms = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return ms * (1 - this.#random.float() / 2);
  }

  /** The next wait is the shortest again. */
  reset(): void {
    this.#attempts = 0;
  }
}
