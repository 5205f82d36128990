import { InvariantError } from "../platform/invariant.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import type { HardState, LogPosition } from "../raft/types.ts";
import { BatchEncoder, type EncodedRecord, encodeRecord } from "./batch-encoder.ts";
import { logFailed } from "./log-errors.ts";
import { SEGMENT_FIXED_BYTES, VOTE_BYTES_MAX } from "./log-record.ts";
import { isSameHardState, type LogState } from "./log-state.ts";
import { frameBytes } from "./record-frame.ts";
import type { OpenSegment, SegmentPool } from "./segment-pool.ts";
import type { SegmentSet } from "./segment-set.ts";

/** What is appended to the stream in one piece. */
export interface LogItem {
  readonly records: readonly EncodedRecord[];
  /** Of the records, on disk. */
  readonly bytes: number;
  /** The log forgets what is up to here; goes before the records. */
  readonly base: LogPosition | undefined;
  /** As it is to be known after this item; written only if it has changed. */
  readonly hardState: HardState;
}

/**
 * The write end of the stream: one write and one sync for all that it is given at once, in a segment that has room.
 *
 * The end of each segment is kept for what is small and helps when the disk is full. Entries leave it alone and need a new segment
 * instead; and all but a base leave the very last of it alone: that frees segments, however many elections were held before.
 */
export class LogWriter {
  readonly #state: LogState;
  readonly #segments: SegmentSet;
  readonly #pool: SegmentPool;
  readonly #encoder: BatchEncoder;
  readonly #reservedBytes: number;
  #segment: OpenSegment | undefined;
  #offset: number;
  #sequence: number;
  #failure: Error | undefined;

  constructor(options: {
    readonly state: LogState;
    readonly segments: SegmentSet;
    readonly pool: SegmentPool;
    readonly reservedBytes: number;
    /** Memory kept between batches. */
    readonly bufferBytes: number;
    /** Where the next batch goes; undefined if it begins a segment. */
    readonly tail: { readonly segment: OpenSegment; readonly offset: number } | undefined;
    /** Of the last batch; 0 if there is none. */
    readonly sequence: number;
  }) {
    this.#state = options.state;
    this.#segments = options.segments;
    this.#pool = options.pool;
    this.#encoder = new BatchEncoder(options.bufferBytes);
    this.#reservedBytes = options.reservedBytes;
    this.#segment = options.tail?.segment;
    this.#offset = options.tail?.offset ?? 0;
    this.#sequence = options.sequence;
  }

  /** Why nothing can be written any more. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * Makes the items durable, all or none. `log-full`: none was written, a later call may succeed. Anything else: the
   * end of the log is unknown, every later call rejects.
   */
  async commit(items: readonly LogItem[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const segment = await this.#segmentFor(items);
      const records = this.#recordsOf(items, segment);
      if (records.length === 0) return;
      const batch = this.#encoder.encode(records, { segment: segment.number, sequence: this.#sequence + 1 });
      await segment.file.write(this.#offset, batch);
      await segment.file.sync();
      this.#sequence += 1;
      this.#offset += batch.length;
      if (this.#offset > segment.bytes / 2) this.#pool.prepare();
    } catch (error) {
      if (isTrivetError(error, "log-full")) throw error;
      // mark: log: a write failed, the log is at its end
      const isOurs = error instanceof InvariantError || isTrivetError(error, "log-failed");
      this.#failure = isOurs ? error : logFailed("Writing the Raft log", error);
      throw this.#failure;
    }
  }

  /** Nothing may be under way. */
  async close(): Promise<void> {
    try {
      await this.#segment?.file.close();
    } catch (error) {
      throw logFailed("Closing the Raft log", error);
    } finally {
      this.#segment = undefined;
    }
  }

  /** Changes nothing if it rejects with `log-full`. */
  async #segmentFor(items: readonly LogItem[]): Promise<OpenSegment> {
    const bytes = bytesMaxOf(items);
    const current = this.#segment;
    if (current !== undefined && this.#offset + bytes + this.#leftAlone(items) <= current.bytes)
      return current;
    const next = await this.#pool.take(HEAD_BYTES_MAX + bytes + this.#reservedBytes);
    this.#segment = next;
    this.#offset = 0;
    await current?.file.close();
    return next;
  }

  /** How much must stay free behind them in their segment. */
  #leftAlone(items: readonly LogItem[]): number {
    if (items.some(hasEntries)) return this.#reservedBytes;
    if (items.some(({ base }) => base !== undefined)) return 0;
    return Math.min(BASE_BATCH_BYTES_MAX, this.#reservedBytes / 2);
  }

  /** In the order of the stream, taken into the state. */
  #recordsOf(items: readonly LogItem[], segment: OpenSegment): readonly EncodedRecord[] {
    const written: EncodedRecord[] = [];
    const add = (encoded: EncodedRecord): void => {
      this.#state.apply(encoded.record);
      this.#segments.note(encoded.record);
      written.push(encoded);
    };
    if (this.#offset === 0) {
      this.#segments.add(segment);
      add(encodeRecord(this.#state.segmentRecord(segment)));
    }
    for (const { base, records } of items) {
      if (base !== undefined && base.index > this.#state.base.index) {
        const isKept = this.#state.termAt(base.index) === base.term;
        add(encodeRecord({ kind: isKept ? "base" : "reset", base }));
      }
      for (const record of records) add(record);
    }
    const hardState = items.at(-1)?.hardState ?? this.#state.hardState;
    if (!isSameHardState(hardState, this.#state.hardState))
      add(encodeRecord({ kind: "hard-state", hardState }));
    return written;
  }
}

const HEAD_BYTES_MAX = frameBytes(SEGMENT_FIXED_BYTES + VOTE_BYTES_MAX);
const BASE_BYTES = frameBytes(0);
const BASE_BATCH_BYTES_MAX = BASE_BYTES + frameBytes(VOTE_BYTES_MAX);

function bytesMaxOf(items: readonly LogItem[]): number {
  const vote = items.at(-1)?.hardState.vote ?? "";
  const hardStateBytes = frameBytes(Buffer.byteLength(vote, "utf8"));
  return items.reduce(
    (sum, { bytes, base }) => sum + bytes + (base === undefined ? 0 : BASE_BYTES),
    hardStateBytes,
  );
}

function hasEntries(item: LogItem): boolean {
  return item.records.some(({ record }) => record.kind !== "closed");
}
