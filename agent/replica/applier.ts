import { invariant } from "../platform/invariant.ts";
import type { Entry } from "../raft/types.ts";
import type { CommandResult, LogPosition, Store, StoreEntry } from "../store/types.ts";

/** Entries handed to the store at once: enough to share its costs, little enough to answer soon. */
const BATCH_BYTES_MAX = 256 * 1024;

export interface ApplierOptions {
  readonly store: Store;
  /** Entries `from` to `to`, as many as fit, at least one. */
  readonly entries: (from: number, to: number, bytesMax: number) => readonly Entry[];
  /** Called in log order, once for each entry. */
  readonly onApplied: (entry: Entry, result: CommandResult) => void;
  /** The store failed: nothing may be applied any more. */
  readonly onFailed: (error: unknown) => void;
}

/** Feeds committed entries to the store in order, one batch at a time. */
export class Applier {
  readonly #options: ApplierOptions;
  #applied: LogPosition;
  #target = 0;
  #isRunning = false;
  #isStopped = false;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#applied = options.store.applied;
  }

  get appliedIndex(): number {
    return this.#applied.index;
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
      this.#isStopped = true;
      this.#options.onFailed(error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #applyBatch(): Promise<void> {
    const { entries, store, onApplied } = this.#options;
    const batch = entries(this.#applied.index + 1, this.#target, BATCH_BYTES_MAX);
    const results = await store.apply(batch.map(toStoreEntry));
    invariant(results.length === batch.length, "the store answered another number of entries than it got");
    for (const [nth, entry] of batch.entries()) {
      this.#applied = { index: entry.index, term: entry.term };
      onApplied(entry, results[nth] ?? []);
    }
  }
}

function toStoreEntry(entry: Entry): StoreEntry {
  const { index, term } = entry;
  return { index, term, command: entry.kind === "command" ? entry.command : null };
}
