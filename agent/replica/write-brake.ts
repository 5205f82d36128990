import { TrivetError } from "../platform/trivet-error.ts";
import type { Deadline } from "./deadline.ts";
import type { Waiters } from "./waiters.ts";

/**
 * What the log must not outgrow: a snapshot that is being sent, which is of no use without what comes behind it (see
 * `LogRetention.isOutrun`); the own database, which has to take up what is committed before the log may drop it.
 */
export type Brake = "snapshot" | "database";

export interface WriteBrakeOptions {
  /** Why writes are to wait now; null if they need not. */
  readonly brake: () => Brake | null;
  readonly waiters: Waiters;
}

/** Has writes wait before they enter a log that grows faster than it may: so they go on as fast as that allows. */
export class WriteBrake {
  readonly #options: WriteBrakeOptions;
  #waiting = 0;

  constructor(options: WriteBrakeOptions) {
    this.#options = options;
  }

  /** Writes are to wait. */
  get isOn(): boolean {
    return this.#options.brake() !== null;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Resolves once a write may go on, or need not because `isOver`. Rejects with `store-busy` at the deadline. */
  async untilOff(deadline: Deadline, isOver: () => boolean): Promise<void> {
    const { waiters, brake } = this.#options;
    const isMet = (): boolean => !this.isOn || isOver();
    this.#waiting += 1;
    try {
      await waiters.until(isMet, deadline.remainingMs, () => tooLong(brake()));
    } finally {
      this.#waiting -= 1;
    }
  }
}

const WHY: Readonly<Record<Brake, string>> = {
  snapshot: "A copy of the data is being sent to another node, which slows writes",
  database: "The leader's database has not taken up the writes before this one",
};

/** Null: it was let go just now, as its time was over. */
function tooLong(brake: Brake | null): TrivetError {
  const why = brake === null ? "Writes had to wait" : WHY[brake];
  return new TrivetError("store-busy", `${why}, and this one was not carried out in time. Try again later.`);
}
