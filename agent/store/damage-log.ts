import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { DAMAGE_LOG_MS } from "./limits.ts";

/**
 * Says that a database is damaged: at once, and then how often something was found so far, as long as there is more. A whole database may
 * be found wrong page by page, and a journal on a card has no room for that.
 */
export class DamageLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #newest = "";
  #count = 0;
  #saidCount = 0;
  /** While nothing is to be said. */
  #pause: Timer | null = null;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Of `count` pages, or other parts of a database, of which `text` names one. */
  found(text: string, count: number): void {
    this.#newest = text;
    this.#count += count;
    if (this.#pause === null) this.#say();
  }

  /** What is found from now on is another matter. */
  clear(): void {
    this.#pause?.cancel();
    this.#pause = null;
    this.#count = 0;
    this.#saidCount = 0;
  }

  #say(): void {
    this.#saidCount = this.#count;
    this.#pause = this.#clock.setTimer(DAMAGE_LOG_MS, () => {
      this.#pause = null;
      if (this.#count > this.#saidCount) this.#say();
    });
    const message =
      "A database is damaged: it goes on with what is there, until the copy of another node takes its place. Look at its disk.";
    this.#logger.log("error", message, { found: this.#newest, findings: this.#count });
  }
}
