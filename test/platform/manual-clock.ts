import type { Clock, Timer } from "../../agent/platform/clock.ts";

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly dueMs: number; readonly callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  defer(callback: () => void): void {
    this.setTimer(0, callback);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** How long it takes until the next timer is due; null if there is none. */
  get nextTimerMs(): number | null {
    const due = [...this.#timers].map(({ dueMs }) => dueMs - this.#nowMs);
    return due.length === 0 ? null : Math.max(0, Math.min(...due));
  }

  /** Time has passed and nothing was called: as after a stall. What fell due is called by the next `advance`. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }

  /** Lets time pass and calls what falls due, in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.dueMs <= endMs);
      const [next] = due.sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
