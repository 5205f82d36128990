import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import type { Replica } from "../replica/replica.ts";
import { nextRepair } from "./repair.ts";

const LOOK_MS = 500;
const CHANGE_TIMEOUT_MS = 10_000;

export interface RepairerOptions {
  readonly replica: Pick<Replica, "status" | "leadership" | "members">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFailed: (error: unknown) => void;
}

/** While this node leads: takes one step after the other towards one member a node (see `nextRepair`). */
export class Repairer {
  readonly #options: RepairerOptions;
  #timer: Timer;
  #isStopped = false;

  constructor(options: RepairerOptions) {
    this.#options = options;
    this.#timer = options.clock.setTimer(LOOK_MS, () => this.#look());
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer.cancel();
  }

  #look(): void {
    this.#repair()
      .catch((error: unknown) => this.#options.onFailed(error))
      .finally(() => {
        if (!this.#isStopped) this.#timer = this.#options.clock.setTimer(LOOK_MS, () => this.#look());
      });
  }

  async #repair(): Promise<void> {
    const { replica, logger } = this.#options;
    if (!replica.leadership.isLeader) return;
    const step = nextRepair(replica.status());
    if (step === null) return;
    // mark: membership: a node's new member takes the place of the damaged one
    logger.log("info", "A node's new member has caught up: it takes the place of the old one.", { ...step });
    try {
      await replica.members.change(step, CHANGE_TIMEOUT_MS);
    } catch (error) {
      // Whoever leads then looks again at what has become of it.
      if (!isTrivetError(error)) throw error;
      logger.log("warn", "The members could not be changed.", { reason: error.message });
    }
  }
}
