import { invariant } from "../platform/invariant.ts";
import type { Entry, LogPosition } from "./types.ts";

/** What one entry weighs besides its payload, roughly: bounds count many small entries too. */
const ENTRY_OVERHEAD_BYTES = 32;

/** What a member weighs in a configuration. */
const MEMBER_BYTES = 48;

/** The weight of an entry in every bound on bytes. */
export function entryBytes(entry: Entry): number {
  switch (entry.kind) {
    case "noop":
      return ENTRY_OVERHEAD_BYTES;
    case "command":
      return ENTRY_OVERHEAD_BYTES + entry.command.byteLength;
    case "configuration": {
      const { voters, outgoing, learners } = entry.configuration;
      return ENTRY_OVERHEAD_BYTES + MEMBER_BYTES * (voters.length + outgoing.length + learners.length);
    }
  }
}

/**
 * The retained log in memory.
 *
 *     base          first ............ last
 *     (index,term)  [ entry, entry, entry ]
 *
 * Indexes have no gap; terms never fall. `base` is the position before the first entry: (0, 0) at the start of time,
 * later that of the last entry that was dropped because the state machine holds it.
 */
export class EntryLog {
  #base: LogPosition;
  #entries: Entry[] = [];
  #bytes = 0;

  constructor(base: LogPosition, entries: readonly Entry[]) {
    this.#base = base;
    this.append(entries);
  }

  get base(): LogPosition {
    return this.#base;
  }

  get firstIndex(): number {
    return this.#base.index + 1;
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term;
  }

  /** The weight of what is retained. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The term at `index`, undefined where the log does not know it. */
  term(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term;
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
      this.#bytes += entryBytes(entry);
    }
  }

  /** Forgets `from` and everything behind it. */
  truncate(from: number): void {
    invariant(from >= this.firstIndex, `cannot truncate at ${from}, the log begins at ${this.firstIndex}`);
    this.#bytes -= weigh(this.#entries.splice(from - this.firstIndex));
  }

  /**
   * Forgets everything up to `base`; where the log does not hold that position, everything. It came with a snapshot
   * then, and what stands behind it here may be of another history (Raft figure 13, steps 6 and 7).
   */
  rebase(base: LogPosition): void {
    const isHeld = this.term(base.index) === base.term;
    invariant(base.index >= this.#base.index, `cannot go back to ${base.index}, before the log begins`);
    this.#bytes -= weigh(
      this.#entries.splice(0, isHeld ? base.index - this.#base.index : this.#entries.length),
    );
    this.#base = base;
  }

  /** Entries `from` to `to`, both included, as many as fit `bytesMax` but at least one if there is one. */
  slice(from: number, to: number, bytesMax = Number.POSITIVE_INFINITY): readonly Entry[] {
    invariant(from >= this.firstIndex, `entry ${from} is gone, the log begins at ${this.firstIndex}`);
    const start = from - this.firstIndex;
    const end = Math.min(to, this.lastIndex) - this.#base.index;
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
   * The highest index at or below `index` whose term is at most `term`: where a log that has `term` at `index` may agree
   * with this one at best. Before the base if it can agree nowhere in this log.
   */
  lastIndexWithin(index: number, term: number): number {
    let candidate = Math.min(index, this.lastIndex);
    while ((this.term(candidate) ?? 0) > term) candidate--;
    return candidate;
  }
}

function weigh(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
}
