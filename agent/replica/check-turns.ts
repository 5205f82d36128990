import type { Clock } from "../platform/clock.ts";
import type { SqlStatement } from "../store/types.ts";

/** Up to this length a check takes a few milliseconds at most, and SQL need not wait. */
const SHORT_LENGTH_MAX = 64 * 1024;

/**
 * Long SQL is checked once in a turn of the event loop. However much of it comes at once, timers and messages get their turn between two
 * checks, so that a heartbeat waits for one of them.
 */
export class CheckTurns {
  readonly #clock: Clock;
  /** Resolves when the next one may begin. */
  #next: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when `statements` may be checked, to be done at once. Who asks is bounded by what is: requests that came in whole. */
  wait(statements: readonly SqlStatement[]): Promise<void> {
    const length = statements.reduce((sum, { sql }) => sum + sql.length, 0);
    if (length <= SHORT_LENGTH_MAX) return Promise.resolve();
    const turn = this.#next;
    // Timers that are due come first. (What is deferred may come before them.)
    this.#next = turn.then(() => new Promise((resolve) => this.#clock.setTimer(0, resolve)));
    return turn;
  }
}
