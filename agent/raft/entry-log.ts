import { invariant } from "../platform/invariant.ts";
import type { Entry } from "./types.ts";

/** What one entry weighs besides its command, roughly: bounds count many small entries too. */
const ENTRY_OVERHEAD_BYTES = 32;

/** The weight of an entry in every bound on bytes. */
export function entryBytes(entry: Entry): number {
  return ENTRY_OVERHEAD_BYTES + (entry.kind === "command" ? entry.command.byteLength : 0);
}

/**
 * The retained log in memory.
 *
 *     base          first ............ last
 *     (index,term)  [ entry, entry, entry ]
 *
 * Indexes have no gap; terms never fall. `base` is the position before the first entry, (0, 0) at the start of time.
 */
export class EntryLog {
  readonly #baseIndex: number;
  readonly #baseTerm: number;
  readonly #entries: Entry[];

  constructor(base: { readonly index: number; readonly term: number }, entries: readonly Entry[]) {
    this.#baseIndex = base.index;
    this.#baseTerm = base.term;
    this.#entries = [];
    this.append(entries);
  }

  get firstIndex(): number {
    return this.#baseIndex + 1;
  }

  get lastIndex(): number {
    return this.#baseIndex + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#baseTerm;
  }

  /** The term at `index`, undefined where the log does not know it. */
  term(index: number): number | undefined {
    if (index === this.#baseIndex) return this.#baseTerm;
    return this.#entries[index - this.#baseIndex - 1]?.term;
  }

  /** Adds behind the last entry. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(
        entry.index === this.lastIndex + 1,
        `entry ${entry.index} leaves a gap after ${this.lastIndex}`,
      );
      invariant(entry.term >= this.lastTerm, `entry ${entry.index} has a term below its predecessor's`);
      this.#entries.push(entry);
    }
  }

  /** Forgets `from` and everything behind it. */
  truncate(from: number): void {
    invariant(from >= this.firstIndex, `cannot truncate at ${from}, the log begins at ${this.firstIndex}`);
    this.#entries.length = Math.min(this.#entries.length, from - this.firstIndex);
  }

  /** Entries `from` to `to`, both included, as many as fit `bytesMax` but at least one if there is one. */
  slice(from: number, to: number, bytesMax = Number.POSITIVE_INFINITY): readonly Entry[] {
    invariant(from >= this.firstIndex, `entry ${from} is gone, the log begins at ${this.firstIndex}`);
    const start = from - this.firstIndex;
    const end = Math.min(to, this.lastIndex) - this.#baseIndex;
    let bytes = 0;
    let stop = start;
    while (stop < end) {
      const entry = this.#entries[stop];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > bytesMax && stop > start) break;
      stop++;
    }
    return this.#entries.slice(start, stop);
  }

  /** True if a log that ends at (`lastTerm`, `lastIndex`) is at least as complete as this one (Raft 5.4.1). */
  isCoveredBy(lastTerm: number, lastIndex: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: where a log that has `term` at `index`
   * may agree with this one at best. Ends at the base, which both agree on.
   */
  lastIndexWithin(index: number, term: number): number {
    let candidate = Math.min(index, this.lastIndex);
    while (candidate > this.#baseIndex && (this.term(candidate) ?? 0) > term) candidate--;
    return candidate;
  }
}
