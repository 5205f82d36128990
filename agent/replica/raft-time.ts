/**
 * The milliseconds that consensus counts: like the monotonic clock, but a stall (a stopped process, a busy machine)
 * counts as one short step. Otherwise a member would act on silence that was its own: the messages that came
 * meanwhile are still waiting to be read.
 */
export class RaftTime {
  readonly #stepMsMax: number;
  #lastMs: number;
  #totalMs = 0;

  constructor(options: { readonly nowMs: number; readonly stepMsMax: number }) {
    this.#lastMs = options.nowMs;
    this.#stepMsMax = options.stepMsMax;
  }

  /** Moves on to `nowMs` of the monotonic clock and returns the time that consensus counts. */
  advance(nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#lastMs);
    this.#lastMs = Math.max(this.#lastMs, nowMs);
    this.#totalMs += Math.min(elapsedMs, this.#stepMsMax);
    return this.#totalMs;
  }
}
