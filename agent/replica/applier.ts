import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Entry } from "../raft/types.ts";
import type { CommandResult, LogPosition, Store, StoreEntry } from "../store/types.ts";

/** Entries handed to the store at once: enough to share its costs, little enough to answer soon. */
const BATCH_BYTES_MAX = 256 * 1024;

export interface ApplierOptions {
  readonly clock: Clock;
  readonly store: Store;
  /** Entries `from` to `to`, as many as fit, at least one. */
  readonly entries: (from: number, to: number, bytesMax: number) => readonly Entry[];
  /** Called in log order, once for each entry. */
  readonly onApplied: (entry: Entry, result: CommandResult) => void;
  /** Called after the last entry of each batch. */
  readonly onBatch: () => void;
  /** The store failed: nothing may be applied any more. */
  readonly onFailed: (error: unknown) => void;
}

/** Feeds committed entries to the store in order, one batch at a time. */
export class Applier {
  readonly #options: ApplierOptions;
  #applied: LogPosition;
  #target = 0;
  #isRunning = false;
  /** When the batch that is with the store was given to it; null if there is none. */
  #batchSinceMs: number | null = null;
  #isStopped = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#applied = options.store.applied;
  }

  get appliedIndex(): number {
    return this.#applied.index;
  }

  /** For how long the store has been at the present batch, milliseconds; 0 if it has none. */
  get batchAgeMs(): number {
    return this.#batchSinceMs === null ? 0 : this.#options.clock.nowMs() - this.#batchSinceMs;
  }

  /** Entries up to `index` may be applied. */
  advance(index: number): void {
    this.#target = Math.max(this.#target, index);
    if (!this.#isRunning && !this.#isStopped && this.#applied.index < this.#target) void this.#run();
  }

  /** Applies nothing more; a batch that is with the store still ends. */
  stop(): void {
    this.#isStopped = true;
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (!this.#isStopped && this.#applied.index < this.#target) await this.#applyBatch();
    } catch (error) {
      // Once stopped, the store may close under the last batch: the log has it.
      if (this.#isStopped) return;
      this.#isStopped = true;
      this.#options.onFailed(error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #applyBatch(): Promise<void> {
    const { entries, store, onApplied, onBatch } = this.#options;
    const batch = entries(this.#applied.index + 1, this.#target, BATCH_BYTES_MAX);
    this.#batchSinceMs = this.#options.clock.nowMs();
    const results = await store.apply(batch.map(toStoreEntry));
    this.#batchSinceMs = null;
    invariant(results.length === batch.length, "the store answered another number of entries than it got");
    for (const [nth, entry] of batch.entries()) {
      this.#applied = { index: entry.index, term: entry.term };
      onApplied(entry, results[nth] ?? []);
    }
    onBatch();
  }
}

function toStoreEntry(entry: Entry): StoreEntry {
  const { index, term } = entry;
  return { index, term, command: entry.kind === "command" ? entry.command : null };
}
