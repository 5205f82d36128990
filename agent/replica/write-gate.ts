import type { Clock, Timer } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";

/** How commands come through the gate. What either one puts into the log, it puts there before it returns or resolves. */
export interface Visit<T> {
  /** How long others wait for it while it is alone. */
  readonly patienceMs: number;
  /** Asked when it is its turn, when all that came before is in the log: that may decide it. */
  mustBeAlone(): boolean;
  pass(): T;
  /** Everything that came through before is applied, and nothing else comes through. `othersWait` is aborted once that lasts too long. */
  passAlone(othersWait: AbortSignal): Promise<T>;
}

export interface WriteGateOptions {
  readonly clock: Clock;
  /** Resolves once everything that came through is applied; rejects where that cannot be waited for. */
  readonly settled: () => Promise<void>;
}

interface Waiting {
  readonly enter: () => void;
  readonly reject: (error: TrivetError) => void;
  readonly deadline: Timer;
}

/**
 * The way into the leader's log. A command that must be tried out goes through it alone, so that it is tried on exactly what it will
 * be applied to:
 *
 *     pass  pass | settled  try out  put into the log | pass  pass
 *                  `------------ alone -------------'
 *
 * Everyone else passes at once. Who comes while one is alone waits, and goes on in the order of arrival: neither kind starves.
 */
export class WriteGate {
  readonly #options: WriteGateOptions;
  readonly #waiting = new Set<Waiting>();
  /** Set while one is alone. */
  #alone: { readonly controller: AbortController; readonly patienceMs: number } | null = null;
  /** Runs while the one that is alone is at work and others wait. */
  #patience: Timer | null = null;
  #isAtWork = false;

  constructor(options: WriteGateOptions) {
    this.#options = options;
  }

  /** True while one is alone. */
  get isShut(): boolean {
    return this.#alone !== null;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Settles as the visit does. Rejects with `store-busy` if its turn does not come within `timeoutMs`, with what `settled` rejects
   * with, or with the error of `turnAway`: then it did not come through.
   */
  enter<T>(visit: Visit<T>, timeoutMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        try {
          resolve(visit.mustBeAlone() ? this.#holdFor(visit) : visit.pass());
        } catch (error) {
          reject(error);
        }
      };
      if (this.#alone === null) enter();
      else this.#wait(enter, reject, timeoutMs);
    });
  }

  /** Nobody can come through any more: rejects everyone who waits, and ends the patience with the one that is alone. */
  turnAway(error: TrivetError): void {
    for (const waiting of this.#waiting) {
      waiting.deadline.cancel();
      waiting.reject(error);
    }
    this.#waiting.clear();
    this.#alone?.controller.abort();
    this.#mind();
  }

  #wait(enter: () => void, reject: (error: TrivetError) => void, timeoutMs: number): void {
    const deadline = this.#options.clock.setTimer(timeoutMs, () => {
      this.#waiting.delete(waiting);
      this.#mind();
      reject(waitedTooLong(timeoutMs));
    });
    const waiting = { enter, reject, deadline };
    this.#waiting.add(waiting);
    this.#mind();
  }

  async #holdFor<T>(visit: Visit<T>): Promise<T> {
    const controller = new AbortController();
    this.#alone = { controller, patienceMs: visit.patienceMs };
    try {
      await this.#options.settled();
      this.#isAtWork = true;
      this.#mind();
      return await visit.passAlone(controller.signal);
    } finally {
      this.#alone = null;
      this.#isAtWork = false;
      this.#mind();
      this.#letIn();
    }
  }

  /** Until another one is alone. */
  #letIn(): void {
    for (const waiting of this.#waiting) {
      if (this.#alone !== null) return;
      this.#waiting.delete(waiting);
      waiting.deadline.cancel();
      waiting.enter();
    }
  }

  /** The time that others give to the one that is alone begins with its work, or with the first of them. */
  #mind(): void {
    const alone = this.#alone;
    if (alone !== null && this.#isAtWork && this.#waiting.size > 0) {
      this.#patience ??= this.#options.clock.setTimer(alone.patienceMs, () => alone.controller.abort());
    } else {
      this.#patience?.cancel();
      this.#patience = null;
    }
  }
}

function waitedTooLong(timeoutMs: number): TrivetError {
  return new TrivetError(
    "store-busy",
    `The write waited its ${Math.round(timeoutMs)} ms behind one that is being tried out, and was not carried out. Try again later.`,
  );
}
