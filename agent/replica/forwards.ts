import type { Clock, Timer } from "../platform/clock.ts";

/** An old leader that handed over still answers what it was asked before; one that froze or was cut off never does. */
const ANSWER_GRACE_MS = 500;

interface Forward {
  readonly toNode: string;
  readonly controller: AbortController;
  timer: Timer | null;
}

/**
 * Requests that wait at another node because it led. Once somebody else leads, they are given up after a short grace, long before the
 * network would notice that the node is gone.
 */
export class Forwards {
  readonly #clock: Clock;
  readonly #waiting = new Set<Forward>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `request` with a signal that is aborted when it is to be given up. */
  async follow<T>(toNode: string, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const forward: Forward = { toNode, controller: new AbortController(), timer: null };
    this.#waiting.add(forward);
    try {
      return await request(forward.controller.signal);
    } finally {
      this.#waiting.delete(forward);
      forward.timer?.cancel();
    }
  }

  /** `leaderNode` leads now. */
  leaderChanged(leaderNode: string): void {
    for (const forward of this.#waiting) {
      if (forward.toNode === leaderNode || forward.timer !== null) continue;
      forward.timer = this.#clock.setTimer(ANSWER_GRACE_MS, () => forward.controller.abort());
    }
  }
}
