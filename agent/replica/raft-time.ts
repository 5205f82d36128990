/**
 * The milliseconds that consensus counts: like the monotonic clock, but it never runs far past the moment that
 * consensus waits for. A stall (a stopped process, a busy machine) would otherwise be taken for the silence of the
 * others, whose messages are still waiting to be read.
 */
export class RaftTime {
  readonly #slackMs: number;
  #lastMs: number;
  #totalMs = 0;

  constructor(options: { readonly nowMs: number; readonly slackMs: number }) {
    this.#lastMs = options.nowMs;
    this.#slackMs = options.slackMs;
  }

  /**
   * Moves on to `nowMs` of the monotonic clock and returns the time that consensus counts, which is at most the slack
   * behind `deadlineMs`, the moment (of the time that it returns) that consensus waits for.
   */
  advance(nowMs: number, deadlineMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#lastMs);
    this.#lastMs = Math.max(this.#lastMs, nowMs);
    const latestMs = Math.max(this.#totalMs, deadlineMs) + this.#slackMs;
    this.#totalMs = Math.min(this.#totalMs + elapsedMs, latestMs);
    return this.#totalMs;
  }
}
