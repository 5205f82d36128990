import type { Clock } from "../platform/clock.ts";
import type { Entry } from "../raft/types.ts";
import { decodeCommand } from "../store/command.ts";

interface ReadableLog {
  readonly term: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  entries(from: number, to: number, bytesMax: number): readonly Entry[];
}

/**
 * The time that commands carry: the leader's wall clock, but never before the command that stands in front of it, also
 * when the leader has changed and the new one's clock is behind.
 */
export class LogTime {
  readonly #clock: Clock;
  #term = 0;
  #lastMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * For the next command of the leader of `log`. Milliseconds since 1970. `appliedMs` is the time of the last command that
   * the store has applied: the log may have begun behind it.
   */
  next(log: ReadableLog, appliedMs: number): number {
    if (log.term !== this.#term) {
      this.#term = log.term;
      this.#lastMs = Math.max(this.#lastMs, newestTimeMs(log), appliedMs);
    }
    this.#lastMs = Math.max(this.#lastMs, this.#clock.wallMs());
    return this.#lastMs;
  }
}

/** From the last command in the log; 0 if there is none. */
function newestTimeMs(log: ReadableLog): number {
  for (let index = log.lastIndex; index >= log.firstIndex; index--) {
    const [entry] = log.entries(index, index, 1);
    if (entry?.kind === "command") return decodeCommand(entry.command).timeMs;
  }
  return 0;
}
