import type { Timer } from "../platform/clock.ts";

/**
 * Other files take the place of the ones that are open:
 *
 *     draining   the thread does what it was sent, and is then ended
 *     swapping   no thread has the files open
 *     opening    another thread opens what stands there now
 */
export class FileReplacement {
  #stage: "draining" | "swapping" | "opening" = "draining";
  readonly #swap: () => Promise<void>;
  /** Ends the draining if it takes too long. */
  readonly #patience: Timer;
  readonly #resolve: (lastTaken: number) => void;
  readonly #reject: (error: Error) => void;

  constructor(options: {
    readonly swap: () => Promise<void>;
    readonly patience: Timer;
    readonly resolve: (lastTaken: number) => void;
    readonly reject: (error: Error) => void;
  }) {
    this.#swap = options.swap;
    this.#patience = options.patience;
    this.#resolve = options.resolve;
    this.#reject = options.reject;
  }

  get isDraining(): boolean {
    return this.#stage === "draining";
  }

  get isOpening(): boolean {
    return this.#stage === "opening";
  }

  /** No thread has the files open any more. Rejects as the swap does. */
  async swapFiles(): Promise<void> {
    this.#stage = "swapping";
    this.#patience.cancel();
    await this.#swap();
    this.#stage = "opening";
  }

  /** A thread has the new files open; `lastTaken` is the last entry that they have or that waits. */
  finish(lastTaken: number): void {
    this.#resolve(lastTaken);
  }

  fail(error: Error): void {
    this.#patience.cancel();
    this.#reject(error);
  }
}
