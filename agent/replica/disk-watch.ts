import type { Clock, Timer } from "../platform/clock.ts";
import type { DiskSpace } from "../platform/disk-space.ts";
import type { Logger } from "../platform/logger.ts";
import { type DiskState, diskStateOf } from "./disk-state.ts";

/** A full disk fills further at the speed of the disk; but what is left below the watermark lasts longer than this. */
const LOOK_MS = 500;

export interface DiskWatchOptions {
  readonly space: DiskSpace;
  /** 0 watches nothing: the state is always `ok`. */
  readonly watermarkBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Looks at the room that is left, on and on, and tells when that changes what this node may do. */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #listeners = new Set<(state: DiskState) => void>();
  #state: DiskState = "ok";
  #freeBytes: number | null = null;
  #timer: Timer | null = null;
  #isStopped = false;
  #hasFailed = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  get state(): DiskState {
    return this.#state;
  }

  /** As of the last look; null before the first one. */
  get freeBytes(): number | null {
    return this.#freeBytes;
  }

  get watermarkBytes(): number {
    return this.#options.watermarkBytes;
  }

  /** Resolves after the first look, so that nothing is begun on a disk that is full already. */
  async start(): Promise<void> {
    if (this.#options.watermarkBytes > 0) await this.#look();
  }

  /** Calls `listener` with each new state. Returns what ends that. */
  onChange(listener: (state: DiskState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { space, clock } = this.#options;
    try {
      const freeBytes = await space.freeBytes();
      this.#hasFailed = false;
      this.#take(freeBytes);
    } catch (error) {
      this.#reportFailure(error);
    }
    if (!this.#isStopped) this.#timer = clock.setTimer(LOOK_MS, () => void this.#look());
  }

  #take(freeBytes: number): void {
    if (this.#isStopped) return;
    const { watermarkBytes, logger } = this.#options;
    const state = diskStateOf(freeBytes, this.#state, watermarkBytes);
    this.#freeBytes = freeBytes;
    if (state === this.#state) return;
    // mark: disk: the room that is left changed what the node may do
    logger.log(state === "ok" ? "info" : "warn", MESSAGES[state], { freeBytes, watermarkBytes });
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  /** Once, until it works again: what is not known is taken for unchanged. */
  #reportFailure(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#options.logger.log("warn", "The free space of the data directory cannot be read.", {
      reason: error,
    });
  }
}

const MESSAGES: Readonly<Record<DiskState, string>> = {
  ok: "The disk has room again: this node takes part as before.",
  low: "The disk is nearly full: this node hands leadership over and takes no writes. Free space on it.",
  critical: "The disk is full: this node stores nothing more until there is room. Free space on it.",
};
