import type { Clock } from "../platform/clock.ts";

/**
 * For how long the worker has done nothing of what it has to do. That a caller gives up does not end it: a thread that hangs in the disk
 * cannot be ended, so only a word of it, or of the next one, shows that the work goes on.
 */
export class Silence {
  readonly #clock: Pick<Clock, "nowMs">;
  /** Null while nothing is to be done. */
  #sinceMs: number | null = null;

  constructor(clock: Pick<Clock, "nowMs">) {
    this.#clock = clock;
  }

  get ms(): number {
    return this.#sinceMs === null ? 0 : this.#clock.nowMs() - this.#sinceMs;
  }

  /** There is something to be done. */
  asked(): void {
    this.#sinceMs ??= this.#clock.nowMs();
  }

  /** Some of it is done; `isIdle`: all of it. */
  answered(isIdle: boolean): void {
    this.#sinceMs = isIdle ? null : this.#clock.nowMs();
  }

  /** So far the worker was busy with what may take its time. */
  excused(): void {
    this.#sinceMs = this.#clock.nowMs();
  }
}
