import { invariant } from "../platform/invariant.ts";
import type { LogPosition, StoreEntry } from "./types.ts";
import type { ForegoneResult } from "./worker-protocol.ts";

/**
 * What a worker leaves to the next one: all that a thread knows and that is not in the files for good.
 *
 * Bounded, because the worker commits by count, bytes and time, and says so.
 */
export class WorkerLegacy {
  /** Sent to a worker; their SQLite transaction may not be committed. */
  #entries: StoreEntry[] = [];
  #foregone: readonly ForegoneResult[] = [];
  /** Where the files are pinned; null if they are not. */
  pinnedAt: LogPosition | null = null;

  /** Answers that are known without carrying out their statements. */
  get foregone(): readonly ForegoneResult[] {
    return this.#foregone;
  }

  /** A worker gets these. Those that are here already, sent to an earlier one, are passed over. */
  sent(entries: readonly StoreEntry[]): void {
    for (const entry of entries) {
      const last = this.#entries.at(-1);
      if (last !== undefined && entry.index <= last.index) continue;
      this.#entries.push(entry);
    }
  }

  forego(result: ForegoneResult): void {
    this.#foregone = [...this.#foregone, result];
  }

  /** Both files have everything up to `index`. */
  committed(index: number): void {
    const kept = this.#entries.findIndex((entry) => entry.index > index);
    this.#entries = kept < 0 ? [] : this.#entries.slice(kept);
    this.#foregone = this.#foregone.filter((result) => result.index > index);
  }

  /** Entries from after `applied` to `last`, without a gap. */
  between(applied: number, last: number): readonly StoreEntry[] {
    const entries = this.#entries.filter(({ index }) => index > applied && index <= last);
    invariant(entries.length === Math.max(0, last - applied), "an entry to be applied again is missing");
    return entries;
  }

  /** Other files have taken the place of those that it speaks of. */
  clear(): void {
    this.#entries = [];
    this.#foregone = [];
    this.pinnedAt = null;
  }
}
