import type { Clock } from "../platform/clock.ts";

/**
 * A newcomer lets one founder at a time name it. The promise holds for a while, so that a founder that died does not keep
 * the others waiting for ever; the founder has to be done long before it ends. It is durable before it is given, and after a
 * restart it holds for its whole time again.
 */
const PROMISE_MS = 30_000;
/** From a founder's first question until its cluster is durable. */
export const FOUNDING_MS_MAX = 10_000;

/** Where the promise is kept over a restart. */
export interface PromiseRecord {
  /** Node id of the founder that had the promise when the process before ended; null if none had. */
  readonly promisedTo: string | null;
  /** Resolves when the promise is durable. */
  promiseTo(founder: string): Promise<void>;
}

export class FoundingPromise {
  readonly #clock: Clock;
  readonly #record: PromiseRecord;
  #founder: string | null;
  #endMs: number;

  constructor(clock: Clock, record: PromiseRecord) {
    this.#clock = clock;
    this.#record = record;
    this.#founder = record.promisedTo;
    this.#endMs = clock.nowMs() + PROMISE_MS;
  }

  /** The founder that may name this node at the moment; null if any may. */
  get founder(): string | null {
    return this.#clock.nowMs() < this.#endMs ? this.#founder : null;
  }

  /** Promises to let `founder` name this node, anew if it has the promise already. False if another one has it. */
  async give(founder: string): Promise<boolean> {
    if (this.founder !== null && this.founder !== founder) return false;
    // Taken at once: nobody else may get it while it becomes durable.
    this.#founder = founder;
    this.#endMs = this.#clock.nowMs() + PROMISE_MS;
    // A founder that asks again costs no write.
    if (this.#record.promisedTo !== founder) await this.#record.promiseTo(founder);
    return true;
  }
}
