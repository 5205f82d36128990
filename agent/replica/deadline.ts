import type { Clock } from "../platform/clock.ts";
import type { TrivetError } from "../platform/trivet-error.ts";

/** A point on the monotonic clock that a request must not outlive. */
export class Deadline {
  readonly #clock: Clock;
  readonly #atMs: number;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#atMs = clock.nowMs() + timeoutMs;
  }

  static at(clock: Clock, atMs: number): Deadline {
    return new Deadline(clock, atMs - clock.nowMs());
  }

  /** Milliseconds that are left; never negative. */
  get remainingMs(): number {
    return Math.max(0, this.#atMs - this.#clock.nowMs());
  }

  get hasPassed(): boolean {
    return this.remainingMs === 0;
  }

  /**
   * Settles like `promise`, or rejects with what `onTimeout` makes at the deadline, or before that with the reason of `signal`; `promise`
   * goes on unheard.
   */
  race<T>(promise: Promise<T>, onTimeout: () => TrivetError, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.remainingMs, () => end(() => reject(onTimeout())));
      const abort = (): void => end(() => reject(signal?.reason));
      const end = (settle: () => void): void => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
        settle();
      };
      if (signal?.aborted === true) abort();
      signal?.addEventListener("abort", abort, { once: true });
      promise.then(
        (value) => end(() => resolve(value)),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }
}
