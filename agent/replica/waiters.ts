import type { Clock } from "../platform/clock.ts";
import type { TrivetError } from "../platform/trivet-error.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Promises that wait for a condition on state which its owner announces to have changed. Each has a deadline. */
export class Waiters {
  readonly #clock: Clock;
  readonly #waiting = new Map<Waiter, () => boolean>();
  #failure: TrivetError | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves once `isMet` holds, rejects with what `onTimeout` makes after `timeoutMs`. */
  until(isMet: () => boolean, timeoutMs: number, onTimeout: () => TrivetError): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (isMet()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(Math.max(0, timeoutMs), () => {
        this.#waiting.delete(waiter);
        reject(onTimeout());
      });
      const waiter: Waiter = {
        resolve: () => {
          timer.cancel();
          resolve();
        },
        reject: (error) => {
          timer.cancel();
          reject(error);
        },
      };
      this.#waiting.set(waiter, isMet);
    });
  }

  /** The state has changed: lets go those whose condition holds now. */
  changed(): void {
    for (const [waiter, isMet] of this.#waiting) {
      if (!isMet()) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  /** Throws what everyone was rejected with: the owner has stopped. */
  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** Rejects everyone, now and from now on: the owner stops. */
  fail(error: TrivetError): void {
    this.#failure ??= error;
    for (const waiter of this.#waiting.keys()) waiter.reject(error);
    this.#waiting.clear();
  }
}
