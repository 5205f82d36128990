import type { Clock, Timer } from "../platform/clock.ts";
import { systemErrorCode } from "../platform/directory.ts";
import type { DiskSpace } from "../platform/disk-space.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { Deadline } from "./deadline.ts";
import { type DiskState, diskStateOf } from "./disk-state.ts";

/** A full disk fills further at the speed of the disk; but what is left below the watermark lasts longer than this. */
const LOOK_MS = 500;

/** An answer that takes longer is not waited for: the disk hangs, and how much room it has is not known. */
const ANSWER_MS = 2_000;

export interface DiskWatchOptions {
  readonly space: DiskSpace;
  /** 0 watches nothing: the state is always `ok`. */
  readonly watermarkBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A listener threw, or what cannot fail did: the agent must stop. */
  readonly onFailed: (error: unknown) => void;
}

/** Looks at the room that is left, on and on, and tells when that changes what this node may do. */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #listeners = new Set<(state: DiskState) => void>();
  #state: DiskState = "ok";
  #freeBytes: number | null = null;
  /** Under way. */
  #reading: Promise<number> | null = null;
  #timer: Timer | null = null;
  readonly #stopping = new AbortController();
  #isUnknown = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  get state(): DiskState {
    return this.#state;
  }

  /** As of the last look; null before the first one, and while the disk does not tell. */
  get freeBytes(): number | null {
    return this.#freeBytes;
  }

  get watermarkBytes(): number {
    return this.#options.watermarkBytes;
  }

  /** Resolves after the first look, so that nothing is begun on a disk that is known to be full. */
  async start(): Promise<void> {
    if (this.#options.watermarkBytes > 0) await this.#look();
  }

  /** Calls `listener` with each new state. Returns what ends that. */
  onChange(listener: (state: DiskState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    this.#stopping.abort(stopped());
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { signal } = this.#stopping;
    const freeBytes = await this.#read();
    if (signal.aborted) return;
    if (freeBytes !== null) this.#take(freeBytes);
    // Whoever was told may have stopped this.
    if (signal.aborted) return;
    this.#timer = this.#options.clock.setTimer(LOOK_MS, () => {
      this.#look().catch((error: unknown) => this.#options.onFailed(error));
    });
  }

  /** Null: the disk does not tell, or not in time, or nobody wants to know any more. */
  async #read(): Promise<number | null> {
    const { space, clock } = this.#options;
    const { signal } = this.#stopping;
    // One question at a time: each that hangs holds one of the few threads that all file calls share.
    this.#reading ??= space.freeBytes().finally(() => {
      this.#reading = null;
    });
    try {
      const freeBytes = await new Deadline(clock, ANSWER_MS).race(this.#reading, diskHangs, signal);
      this.#isUnknown = false;
      return freeBytes;
    } catch (error) {
      if (signal.aborted) return null;
      if (systemErrorCode(error) === undefined && !isTrivetError(error, "disk-hangs")) throw error;
      this.#reportUnknown(error);
      return null;
    }
  }

  #take(freeBytes: number): void {
    const { watermarkBytes, logger } = this.#options;
    const state = diskStateOf(freeBytes, this.#state, watermarkBytes);
    this.#freeBytes = freeBytes;
    if (state === this.#state) return;
    // mark: disk: the room that is left changed what the node may do
    logger.log(state === "ok" ? "info" : "warn", MESSAGES[state], { freeBytes, watermarkBytes });
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  /** Said once, until it is known again. The state stays: nothing says that there is more or less room than before. */
  #reportUnknown(error: unknown): void {
    this.#freeBytes = null;
    if (this.#isUnknown) return;
    this.#isUnknown = true;
    this.#options.logger.log("warn", "The free space of the data directory cannot be read.", {
      reason: error,
    });
  }
}

function stopped(): TrivetError {
  return new TrivetError("stopping", "The disk is not watched any more.");
}

function diskHangs(): TrivetError {
  return new TrivetError("disk-hangs", `The disk has not answered for ${ANSWER_MS} ms.`);
}

const MESSAGES: Readonly<Record<DiskState, string>> = {
  ok: "The disk has room again: this node takes part as before.",
  low: "The disk is nearly full: this node hands leadership over and takes no writes. Free space on it.",
  critical: "The disk is full: this node stores nothing more until there is room. Free space on it.",
};
