import { invariant } from "../platform/invariant.ts";
import type { StoreEntry } from "./types.ts";

/**
 * Entries that a worker got and whose SQLite transaction may not be committed: a new worker gets them again. Bounded,
 * because the worker commits by count, bytes and time, and says so.
 */
export class UncommittedEntries {
  #entries: StoreEntry[] = [];

  /** Entries already here are passed over. */
  add(entries: readonly StoreEntry[]): void {
    for (const entry of entries) {
      const last = this.#entries.at(-1);
      if (last !== undefined && entry.index <= last.index) continue;
      this.#entries.push(entry);
    }
  }

  clear(): void {
    this.#entries = [];
  }

  dropThrough(index: number): void {
    const kept = this.#entries.findIndex((entry) => entry.index > index);
    this.#entries = kept < 0 ? [] : this.#entries.slice(kept);
  }

  /** Those from after `applied` to `last`, without a gap. */
  between(applied: number, last: number): readonly StoreEntry[] {
    const entries = this.#entries.filter(({ index }) => index > applied && index <= last);
    invariant(entries.length === Math.max(0, last - applied), "an entry to be applied again is missing");
    return entries;
  }
}
