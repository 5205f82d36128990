import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { DamageLog } from "./damage-log.ts";
import { DAMAGE_RETRY_MS } from "./limits.ts";

export interface DamageAlarmOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** True while others could give this node sound databases, and do without it meanwhile. */
  readonly isReplaceable: () => boolean;
  readonly onReplaceable: (found: string) => void;
}

/**
 * What is done about pages that are not what was written, where SQLite does not mind: as soon as the others can do without this node,
 * its databases are given up. Until then it goes on with them, and says so: it serves more with one wrong row than without all others.
 */
export class DamageAlarm {
  readonly #options: DamageAlarmOptions;
  readonly #log: DamageLog;
  #found: string | null = null;
  #timer: Timer | null = null;
  #isStopped = false;

  constructor(options: DamageAlarmOptions) {
    this.#options = options;
    this.#log = new DamageLog(options.clock, options.logger);
  }

  /** What was found and is there still; null if nothing is. */
  get damage(): string | null {
    return this.#found;
  }

  /** In `count` places, of which `text` names one. */
  found(text: string, count: number): void {
    if (this.#isStopped) return;
    const isFirst = this.#found === null;
    this.#found ??= text;
    if (isFirst) this.#look();
    if (this.#timer === null) return;
    // mark: store: damage was told of that the others cannot mend now
    this.#log.found(text, count);
  }

  /** Other databases have taken the place of those. */
  clear(): void {
    this.#log.clear();
    this.#timer?.cancel();
    this.#timer = null;
    this.#found = null;
  }

  stop(): void {
    this.clear();
    this.#isStopped = true;
  }

  #look(): void {
    const { clock, isReplaceable, onReplaceable } = this.#options;
    this.#timer = null;
    if (this.#found === null) return;
    if (isReplaceable()) onReplaceable(this.#found);
    else this.#timer = clock.setTimer(DAMAGE_RETRY_MS, () => this.#look());
  }
}
