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

/**
 * Has writes wait before they enter a log that grows faster than it may: so they go on as fast as that allows. One after the other,
 * since each that has gone on may be one too many for the next.
 */
export class WriteBrake {
  readonly #options: WriteBrakeOptions;
  /** Tells each of those that wait that it is the first. In the order of arrival. */
  readonly #queue = new Set<() => void>();

  constructor(options: WriteBrakeOptions) {
    this.#options = options;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Calls `act`, which puts a write into the log before it returns, once a write may go on; also if it need not wait any more because
   * `isOver`. Rejects with `store-busy` at the deadline, and then has not called it.
   */
  async pass<T>(act: () => Promise<T>, deadline: Deadline, isOver: () => boolean): Promise<T> {
    const { waiters, brake } = this.#options;
    const mayGo = (): boolean => brake() === null || isOver();
    if (this.#queue.size === 0 && mayGo()) return act();
    const onTimeout = (): TrivetError => tooLong(brake());
    let beFirst = (): void => undefined;
    const isFirst = new Promise<void>((resolve) => {
      beFirst = resolve;
    });
    this.#queue.add(beFirst);
    this.#wakeFirst();
    try {
      await deadline.race(isFirst, onTimeout);
      while (!mayGo()) await waiters.until(mayGo, deadline.remainingMs, onTimeout);
      return act();
    } finally {
      this.#queue.delete(beFirst);
      this.#wakeFirst();
    }
  }

  #wakeFirst(): void {
    const [first] = this.#queue;
    first?.();
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
