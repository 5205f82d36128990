import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { DamageLog } from "./damage-log.ts";

/**
 * Pages that are not what was written, where SQLite does not mind. The databases go on with them, and give no copy: a node serves more
 * with one wrong row than without all others. Whoever keeps the copy looks at `damage`, and has another one take its place.
 */
export class DamageAlarm {
  readonly #log: DamageLog;
  #damage: string | null = null;
  #isStopped = false;

  constructor(clock: Clock, logger: Logger) {
    this.#log = new DamageLog(clock, logger);
  }

  /** What was found first, and is there still; null if nothing is. */
  get damage(): string | null {
    return this.#damage;
  }

  /** In `count` places, of which `text` names one. */
  found(text: string, count: number): void {
    if (this.#isStopped) return;
    this.#damage ??= text;
    this.#log.found(text, count);
  }

  /** Other databases have taken the place of those. */
  clear(): void {
    this.#log.clear();
    this.#damage = null;
  }

  stop(): void {
    this.clear();
    this.#isStopped = true;
  }
}
