import { invariant } from "../platform/invariant.ts";
import type { HardState, LogPosition } from "../raft/types.ts";
import { LOG_FORMAT, type LogRecord, type SegmentRecord } from "./log-record.ts";
import type { Segment } from "./segment-set.ts";

/** Entries of one term, from the index `from` up to the next run or the last entry. */
interface TermRun {
  readonly from: number;
  readonly term: number;
}

/**
 * What the stream of records has said so far, but for what is in the entries. The writer and the replay go through
 * the same rules: what the one may never write, the other takes for damage.
 *
 * base.index <= last.index, base.index <= commit <= last.index; terms never fall along the log.
 */
export class LogState {
  #base: LogPosition;
  #last: LogPosition;
  #hardState: HardState;
  /** Ascending, without two neighbours of one term; may begin behind the base after a start in mid-stream. */
  #runs: TermRun[];

  constructor(from: Pick<SegmentRecord, "base" | "last" | "hardState">) {
    this.#base = from.base;
    this.#last = from.last;
    this.#hardState = from.hardState;
    this.#runs = from.last.index > from.base.index ? [{ from: from.last.index, term: from.last.term }] : [];
  }

  get base(): LogPosition {
    return this.#base;
  }

  /** The last entry; the base if there is none. */
  get last(): LogPosition {
    return this.#last;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  /** The term of a kept entry or of the base; undefined for any other index. */
  termAt(index: number): number | undefined {
    if (index === this.#base.index) return this.#base.term;
    if (index < this.#base.index || index > this.#last.index) return undefined;
    return this.#runs.findLast((run) => run.from <= index)?.term;
  }

  /** What a segment that begins here has to repeat. */
  segmentRecord({ number, bytes }: Segment): SegmentRecord {
    const { base, last, hardState } = this;
    return { kind: "segment", format: LOG_FORMAT, number, bytes, base, last, hardState };
  }

  /** Why `record` cannot be the next one; undefined if it can. */
  violation(record: LogRecord): string | undefined {
    switch (record.kind) {
      case "noop":
      case "configuration":
      case "command":
        return this.#entryViolation(record);
      case "hard-state":
        return hardStateViolation(this.#hardState, record.hardState, this.#last.index);
      case "base":
        return this.#baseViolation(record.base);
      case "reset":
        if (record.base.index > this.#base.index && record.base.index >= this.#hardState.commit)
          return undefined;
        return `the log is reset to ${name(record.base)}, with base ${name(this.#base)} and commit ${this.#hardState.commit}`;
      case "segment":
        if (isSameState(this, record)) return undefined;
        return `the segment begins after ${name(record.last)}, the one before it ends with ${name(this.#last)}`;
      case "closed":
        return undefined;
    }
  }

  /** Takes in a record that violates nothing. */
  apply(record: LogRecord): void {
    const violation = this.violation(record);
    invariant(violation === undefined, `A record cannot go into the log: ${violation}`);
    switch (record.kind) {
      case "noop":
      case "configuration":
      case "command":
        this.#runs = cutRuns(this.#runs, record.index);
        if (this.#runs.at(-1)?.term !== record.term)
          this.#runs.push({ from: record.index, term: record.term });
        this.#last = { index: record.index, term: record.term };
        return;
      case "hard-state":
        this.#hardState = record.hardState;
        return;
      case "base":
        this.#setBase(record.base);
        return;
      case "reset":
        this.#last = record.base;
        this.#runs = [];
        this.#setBase(record.base);
        return;
      case "segment":
      case "closed":
        return;
    }
  }

  #setBase(base: LogPosition): void {
    this.#base = base;
    // What the state machine holds is committed.
    this.#hardState = { ...this.#hardState, commit: Math.max(this.#hardState.commit, base.index) };
    const kept = this.#runs.findLastIndex((run) => run.from <= base.index + 1);
    if (kept > 0) this.#runs = this.#runs.slice(kept);
  }

  #entryViolation({ index, term }: LogPosition): string | undefined {
    const last = this.#last.index;
    if (index > last + 1) return `entry ${index} comes after ${last}`;
    if (index <= this.#base.index) return `entry ${index} is not behind the base ${this.#base.index}`;
    if (index <= this.#hardState.commit) return `entry ${index} replaces a committed one`;
    const before = this.termAt(index - 1);
    if (before !== undefined && term < before) return `entry ${index} has term ${term}, after term ${before}`;
    return undefined;
  }

  #baseViolation(base: LogPosition): string | undefined {
    const term = this.termAt(base.index);
    const isKept = base.index > this.#base.index && base.index <= this.#last.index;
    if (isKept && (term === undefined || term === base.term)) return undefined;
    return `the base moves to ${name(base)}, with base ${name(this.#base)} and last entry ${name(this.#last)}`;
  }
}

/** Why `next` cannot follow `now` in a log that ends with `lastIndex`: Raft figure 2, persistent state. */
export function hardStateViolation(now: HardState, next: HardState, lastIndex: number): string | undefined {
  if (next.term < now.term) return `the term falls from ${now.term} to ${next.term}`;
  if (next.term === now.term && now.vote !== null && next.vote !== now.vote) {
    return `the vote in term ${now.term} changes from ${now.vote} to ${next.vote}`;
  }
  if (next.commit < now.commit) return `the commit index falls from ${now.commit} to ${next.commit}`;
  if (next.commit > lastIndex) return `the commit index ${next.commit} is behind the last entry ${lastIndex}`;
  return undefined;
}

export function isSameHardState(one: HardState, other: HardState): boolean {
  return one.term === other.term && one.vote === other.vote && one.commit === other.commit;
}

function isSamePosition(one: LogPosition, other: LogPosition): boolean {
  return one.index === other.index && one.term === other.term;
}

function isSameState(state: LogState, record: SegmentRecord): boolean {
  return (
    isSamePosition(state.last, record.last) &&
    isSamePosition(state.base, record.base) &&
    isSameHardState(state.hardState, record.hardState)
  );
}

/** Without what belongs to entries from `index` on. */
function cutRuns(runs: TermRun[], index: number): TermRun[] {
  const last = runs.at(-1);
  if (last === undefined || last.from < index) return runs;
  return runs.filter((run) => run.from < index);
}

function name({ index, term }: LogPosition): string {
  return `index ${index} of term ${term}`;
}
