import type { Clock } from "../platform/clock.ts";

/** Of the bound, what the log may take before writes are slowed. */
const FREE_SHARE = 0.5;
/** Of what is left then, what it may take by the end of the sending; the rest is for the time in which the receiver installs it. */
const SENT_SHARE = 0.8;
/** In so much time, the log may always grow by its bound: a sending that would have to slow writes further is not worth that. */
const FLOOR_MS = 900_000;

interface Beginning {
  readonly logBytes: number;
  readonly fraction: number;
  readonly ms: number;
}

/**
 * How large the log may be while a snapshot is being sent. The snapshot is of no use without what comes behind it, so the log has to
 * last, within its bound, until the end of the sending.
 *
 *     bound  |                     beyond it, the snapshot is ended
 *            |          ___---     as fast as the sending gets on
 *     half   |____---              for nothing, while it is being opened
 *            +-----------------    sent
 *
 * It counts from where the log stands at the beginning. However slow the sending is, writes never stand still: they may fill the log in
 * `FLOOR_MS`, and where that is sooner than the end, the snapshot is outrun.
 */
export class LogAllowance {
  readonly #boundBytes: number;
  readonly #clock: Clock;
  /** Null: nothing is being sent. */
  #begin: Beginning | null = null;
  #fraction = 0;

  constructor(options: { readonly boundBytes: number; readonly clock: Clock }) {
    this.#boundBytes = options.boundBytes;
    this.#clock = options.clock;
  }

  /** The log has `logBytes` now, and of the snapshot `fraction` is sent, from 0 to 1; null if nobody takes it. To be called often. */
  follow(logBytes: number, fraction: number | null): void {
    if (fraction === null) {
      this.#begin = null;
      return;
    }
    // Less than before: it is another one, or somebody else has begun to read.
    if (this.#begin === null || fraction < this.#fraction) {
      this.#begin = { logBytes, fraction, ms: this.#clock.nowMs() };
    }
    this.#fraction = fraction;
  }

  /** Infinity while nothing is being sent. */
  get bytes(): number {
    const begin = this.#begin;
    if (begin === null) return Number.POSITIVE_INFINITY;
    const free = Math.max(begin.logBytes, FREE_SHARE * this.#boundBytes);
    const left = 1 - begin.fraction;
    const progress = left > 0 ? (this.#fraction - begin.fraction) / left : 1;
    const bySending = SENT_SHARE * progress * Math.max(0, this.#boundBytes - free);
    const byTime = (this.#boundBytes * (this.#clock.nowMs() - begin.ms)) / FLOOR_MS;
    return free + Math.max(bySending, byTime);
  }
}
