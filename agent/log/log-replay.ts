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
  /** Without a gap; `#entries[0]` may stand at or before the base until `finish()`. */
  #entries: Entry[] = [];

  /** Notes in `segments` what is in which. */
  constructor(segments: SegmentSet) {
    this.#segments = segments;
  }

  get state(): LogState | undefined {
    return this.#state;
  }

  /** Takes the next batch of the stream; `isFirst` if it is the first one in its segment. */
  take(batch: SoundBatch, segment: Segment, isFirst: boolean): void {
    for (const [position, frame] of batch.frames.entries()) {
      const where = `${segmentName(segment.number)} at offset ${frame.offset}`;
      const record = decode(frame, where);
      const isHead = isFirst && position === 0;
      if (isHead !== (record.kind === "segment")) {
        throw logCorrupt(
          where,
          `expected ${isHead ? "the head of the segment" : "no head"}, found ${record.kind}`,
        );
      }
      if (record.kind === "segment") this.#takeHead(record, segment, where);
      this.#takeRecord(record, where);
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

  #takeHead(head: SegmentRecord, segment: Segment, where: string): void {
    if (head.format !== LOG_FORMAT) {
      const found = `${where} is written in format ${head.format}, this program reads format ${LOG_FORMAT}`;
      throw logError(
        "log-version",
        `The Raft log cannot be read: ${found}. Start the version that wrote it.`,
      );
    }
    if (head.number !== segment.number) {
      throw logCorrupt(where, `expected segment ${segment.number}, found segment ${head.number}`);
    }
    this.#segments.add(segment);
    this.#state ??= new LogState(head);
  }

  #takeRecord(record: LogRecord, where: string): void {
    const state = this.#state;
    const violation =
      state === undefined ? "a record before the head of its segment" : state.violation(record);
    if (state === undefined || violation !== undefined) throw logCorrupt(where, `found that ${violation}`);
    state.apply(record);
    this.#segments.note(record);
    if (record.kind === "reset") this.#entries = [];
    else if (isEntry(record)) this.#takeEntry(record);
  }

  #takeEntry(entry: Entry): void {
    const first = this.#entries[0]?.index ?? entry.index;
    this.#entries.length = Math.max(0, Math.min(this.#entries.length, entry.index - first));
    this.#entries.push(entry);
  }
}

function decode(frame: SoundFrame, where: string): LogRecord {
  const { header, payload } = frame;
  let cause: unknown;
  try {
    const record = recordOfFrame({ type: header.type, index: header.index, term: header.term, payload });
    if (record !== undefined) return record;
  } catch (error) {
    cause = error;
  }
  const why = cause === undefined ? "" : ` (${messageOf(cause)})`;
  throw logCorrupt(where, `a sound record of type ${header.type} makes no sense${why}`, cause);
}

function isEntry(record: LogRecord): record is Entry {
  return record.kind === "noop" || record.kind === "configuration" || record.kind === "command";
}
