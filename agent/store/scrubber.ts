import type { Clock, Timer } from "../platform/clock.ts";
import { SCRUB_DELAY_MS, SCRUB_PAUSE_MS, SCRUB_PERIOD_MS } from "./limits.ts";
import { SNAPSHOT_FILES, type SnapshotFileName } from "./snapshot.ts";

export interface ScrubberOptions {
  readonly clock: Clock;
  /** Looks at some pages from `page` on. Resolves with the next one, null at the end of the file. Rejects once the store has ended. */
  readonly scrub: (name: SnapshotFileName, page: number) => Promise<number | null>;
}

/**
 * Has the databases looked through for what has changed in them by itself: soon after the start all of it, one slice after the other,
 * and from then on so slowly that it takes a period. What was found is told by whoever looks.
 */
export class Scrubber {
  readonly #options: ScrubberOptions;
  #timer: Timer;
  #pauseMs = SCRUB_PAUSE_MS;
  /** Slices of the pass so far. */
  #slices = 0;
  #name: SnapshotFileName = SNAPSHOT_FILES[0];
  #page = 1;
  #isStopped = false;

  constructor(options: ScrubberOptions) {
    this.#options = options;
    this.#timer = options.clock.setTimer(SCRUB_DELAY_MS, () => this.#look());
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer.cancel();
  }

  #look(): void {
    // Whoever asks the store next is told that it has ended: nobody need hear of it here.
    this.#options.scrub(this.#name, this.#page).then(
      (next) => this.#looked(next),
      () => this.stop(),
    );
  }

  #looked(next: number | null): void {
    if (this.#isStopped) return;
    this.#slices += 1;
    if (next === null) this.#name = this.#nextFile();
    this.#page = next ?? 1;
    this.#timer = this.#options.clock.setTimer(this.#pauseMs, () => this.#look());
  }

  #nextFile(): SnapshotFileName {
    const next = SNAPSHOT_FILES[SNAPSHOT_FILES.indexOf(this.#name) + 1];
    if (next !== undefined) return next;
    // mark: store: all pages of the databases were looked at
    this.#pauseMs = Math.max(SCRUB_PAUSE_MS, SCRUB_PERIOD_MS / this.#slices);
    this.#slices = 0;
    return SNAPSHOT_FILES[0];
  }
}
