import { messageOf } from "../platform/trivet-error.ts";
import type { Entry } from "../raft/types.ts";
import type { SoundBatch, SoundFrame } from "./batch-reader.ts";
import { logCorrupt, logError } from "./log-errors.ts";
import { LOG_FORMAT, type LogRecord, recordOfFrame, type SegmentRecord } from "./log-record.ts";
import { LogState } from "./log-state.ts";
import { segmentName } from "./segment-name.ts";
import type { Segment, SegmentSet } from "./segment-set.ts";

/**
 * Follows the stream, batch by batch, and keeps what it says: the state, and the entries behind the base. It may begin
 * with any segment; whether what came before was needed is known at the end (`finish()`).
 */
export class LogReplay {
  readonly #segments: SegmentSet;
  #state: LogState | undefined;
  #isClosed = false;
  /** Without a gap; `#entries[0]` may stand at or before the base until `finish()`. */
  #entries: Entry[] = [];

  /** Notes in `segments` what is in which. */
  constructor(segments: SegmentSet) {
    this.#segments = segments;
  }

  get state(): LogState | undefined {
    return this.#state;
  }

  /** The last record is that the log was closed in good order. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Takes the next batch of the stream; `isFirst` if it is the first one in its segment. */
  take(batch: SoundBatch, segment: Segment, isFirst: boolean): void {
    for (const frame of batch.frames) {
      const place: Place = { segment: segment.number, offset: frame.offset };
      const record = decode(frame, place);
      const isHead = isFirst && frame === batch.frames[0];
      if (isHead !== (record.kind === "segment")) {
        const expected = isHead ? "the head of the segment" : "no head";
        throw corruptAt(place, `expected ${expected}, found ${record.kind}`);
      }
      if (record.kind === "segment") this.#takeHead(record, segment, place);
      this.#takeRecord(record, place);
    }
  }

  /** The entries behind the base, all of them. */
  finish(firstSegment: number): readonly Entry[] {
    const state = this.#state;
    if (state === undefined) return [];
    const { base, last } = state;
    const kept = this.#entries.filter((entry) => entry.index > base.index);
    const firstIndex = kept[0]?.index ?? last.index + 1;
    if (firstIndex !== base.index + 1) {
      const missing = `entries ${base.index + 1} to ${firstIndex - 1} are not in it, nor in any later segment`;
      throw logCorrupt(segmentName(firstSegment), `${missing}: a segment before it is missing`);
    }
    return kept;
  }

  #takeHead(head: SegmentRecord, segment: Segment, place: Place): void {
    if (head.format !== LOG_FORMAT) {
      const found = `${nameOf(place)} is written in format ${head.format}, this program reads format ${LOG_FORMAT}`;
      throw logError(
        "log-version",
        `The Raft log cannot be read: ${found}. Start the version that wrote it.`,
      );
    }
    if (head.number !== segment.number) {
      throw corruptAt(place, `expected segment ${segment.number}, found segment ${head.number}`);
    }
    this.#segments.add(segment);
    this.#state ??= new LogState(head);
  }

  #takeRecord(record: LogRecord, place: Place): void {
    const state = this.#state;
    const violation =
      state === undefined ? "a record before the head of its segment" : state.violation(record);
    if (state === undefined || violation !== undefined) throw corruptAt(place, `found that ${violation}`);
    state.apply(record);
    this.#segments.note(record);
    this.#isClosed = record.kind === "closed";
    if (record.kind === "reset") this.#entries = [];
    else if (isEntry(record)) this.#takeEntry(record);
  }

  #takeEntry(entry: Entry): void {
    const first = this.#entries[0]?.index ?? entry.index;
    const kept = Math.max(0, entry.index - first);
    if (kept < this.#entries.length) this.#entries.length = kept;
    this.#entries.push(entry);
  }
}

interface Place {
  readonly segment: number;
  readonly offset: number;
}

function nameOf({ segment, offset }: Place): string {
  return `${segmentName(segment)} at offset ${offset}`;
}

function corruptAt(place: Place, what: string, cause?: unknown): Error {
  return logCorrupt(nameOf(place), what, cause);
}

function decode(frame: SoundFrame, place: Place): LogRecord {
  const { header, payload } = frame;
  let cause: unknown;
  try {
    const record = recordOfFrame({ type: header.type, index: header.index, term: header.term, payload });
    if (record !== undefined) return record;
  } catch (error) {
    cause = error;
  }
  const why = cause === undefined ? "" : ` (${messageOf(cause)})`;
  throw corruptAt(place, `a sound record of type ${header.type} makes no sense${why}`, cause);
}

function isEntry(record: LogRecord): record is Entry {
  return record.kind === "noop" || record.kind === "configuration" || record.kind === "command";
}
