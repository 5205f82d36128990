import type { Clock, Timer } from "../platform/clock.ts";
import { SCRUB_DELAY_MS, SCRUB_PAUSE_MS, SCRUB_PERIOD_MS, SCRUB_SLICE_PAGES } from "./limits.ts";
import type { ScrubbedSlice } from "./page-guard.ts";
import { SNAPSHOT_FILES, type SnapshotFileName } from "./snapshot.ts";

export interface ScrubberOptions {
  readonly clock: Clock;
  /** Looks at some pages from `page` on. Rejects once the store has ended. */
  readonly scrub: (name: SnapshotFileName, page: number) => Promise<ScrubbedSlice>;
}

/**
 * Has the databases looked through for what has changed in them by itself: soon after the start all of it, one slice after the other,
 * and from then on so slowly that it takes a period, by how large they are at the time. What was found is told by whoever looks.
 */
export class Scrubber {
  readonly #options: ScrubberOptions;
  #timer: Timer;
  /** The first pass is over. */
  #isDone = false;
  /** Slices of each file, as it was when it was last looked at. */
  readonly #slices = new Map<SnapshotFileName, number>();
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
      (slice) => this.#looked(slice),
      () => this.stop(),
    );
  }

  #looked({ next, pages }: ScrubbedSlice): void {
    if (this.#isStopped) return;
    this.#slices.set(this.#name, Math.max(1, Math.ceil(pages / SCRUB_SLICE_PAGES)));
    if (next === null) this.#name = this.#nextFile();
    this.#page = next ?? 1;
    this.#timer = this.#options.clock.setTimer(this.#pauseMs, () => this.#look());
  }

  get #pauseMs(): number {
    if (!this.#isDone) return SCRUB_PAUSE_MS;
    let slices = 0;
    for (const ofFile of this.#slices.values()) slices += ofFile;
    return Math.max(SCRUB_PAUSE_MS, SCRUB_PERIOD_MS / slices);
  }

  #nextFile(): SnapshotFileName {
    const next = SNAPSHOT_FILES[SNAPSHOT_FILES.indexOf(this.#name) + 1];
    if (next !== undefined) return next;
    // mark: store: all pages of the databases were looked at
    this.#isDone = true;
    return SNAPSHOT_FILES[0];
  }
}
