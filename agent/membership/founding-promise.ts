import type { Clock } from "../platform/clock.ts";

/**
 * A newcomer lets one founder at a time name it. The promise holds for a while, so that a founder that died does not keep
 * the others waiting for ever; the founder has to be done long before it ends.
 */
const PROMISE_MS = 30_000;
/** From the first question to the last answer that a founder counts on. */
export const FOUNDING_MS_MAX = 10_000;

export class FoundingPromise {
  readonly #clock: Clock;
  #founder: string | null = null;
  #endMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The founder that may name this node at the moment; null if any may. */
  get founder(): string | null {
    return this.#clock.nowMs() < this.#endMs ? this.#founder : null;
  }

  /** Promises to let `founder` name this node, anew if it has the promise already. False if another one has it. */
  give(founder: string): boolean {
    if (this.founder !== null && this.founder !== founder) return false;
    this.#founder = founder;
    this.#endMs = this.#clock.nowMs() + PROMISE_MS;
    return true;
  }
}
