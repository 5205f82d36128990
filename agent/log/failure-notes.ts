import { systemErrorCode } from "../platform/directory.ts";
import type { Logger } from "../platform/logger.ts";
import { messageOf } from "../platform/trivet-error.ts";

/**
 * Tells the operator of work in the background that fails: once for each reason however often it is tried again, and once more when it has
 * been done after all.
 */
export class FailureNotes {
  readonly #logger: Logger;
  /** What has failed and was not done since, with the reason that was told last. */
  readonly #told = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Runs `work`, which does `what` ("remove a file"). Never rejects; `next` says what becomes of a failure. */
  async note(what: string, next: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // The same failure of another file is nothing new.
      const reason = systemErrorCode(error) ?? messageOf(error);
      if (this.#told.get(what) === reason) return;
      this.#told.set(what, reason);
      this.#logger.log("warn", `raft log: could not ${what}; ${next}`, { error });
      return;
    }
    if (this.#told.delete(what)) this.#logger.log("info", `raft log: could ${what} again`);
  }
}
