import type { Directory } from "../platform/directory.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { type HardState, INITIAL_HARD_STATE, type LogPosition } from "../raft/types.ts";
import { type EncodedRecord, encodeRecord } from "./batch-encoder.ts";
import { GroupCommit } from "./group-commit.ts";
import { diskError, logError } from "./log-errors.ts";
import { mendLog } from "./log-mending.ts";
import { type FoundLog, findLog } from "./log-recovery.ts";
import { hardStateViolation, LogState } from "./log-state.ts";
import { LOG_START, type LogBatch, type LogContent, type RecoveredLog } from "./log-types.ts";
import { type LogItem, LogWriter } from "./log-writer.ts";
import { SegmentPool } from "./segment-pool.ts";
import { SEGMENT_BYTES_MIN, type SegmentSet } from "./segment-set.ts";

/** Default size of a segment file. The log takes about the retained entries, rounded up, and two more. */
export const SEGMENT_BYTES = 4 * 1024 * 1024;
/** A group of appends ends before it exceeds this; also the memory that is kept for writing. */
const GROUP_BYTES_MAX = 1024 * 1024;
/** What may wait behind the write that is under way. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** What one call counts for besides its entries, so that empty ones are bounded too. */
const ITEM_BYTES = 256;
/**
 * Kept free at the end of each segment for what a full disk needs (see `LogWriter`): a base, and before it the terms and votes of some
 * hundred elections.
 */
const RESERVED_BYTES = 64 * 1024;

export interface DurableLogOptions {
  /** Of its own. */
  readonly directory: Directory;
  readonly logger: Logger;
  /** A multiple of 8, at least 4096; for the files made from now on. */
  readonly segmentBytes?: number;
}

export interface OpenedLog {
  readonly log: DurableLog;
  readonly recovered: RecoveredLog;
}

/** A log that was read. Nothing of it has been changed. */
export interface UnopenedLog {
  readonly content: LogContent;
  /** It was closed in good order: where nothing written since is lost altogether, its end is all there. */
  readonly wasClosed: boolean;
  /** Mends what the last process left unfinished. To be called once at most, while the directory is as it was read. */
  readonly open: () => Promise<OpenedLog>;
}

/**
 * The entries and the hard state of one member, durable: what `append()` and `compact()` have resolved survives kill -9
 * and power loss, and is either found whole at the next start or found to be damaged.
 *
 * Errors: `log-failed` (a write or sync failed; every later call rejects, the owner exits), `log-full` (no space for a
 * new segment; nothing of the call was written, nor of those behind it, and later ones may succeed), `log-busy` (too
 * much waits), `log-closed`. Calls that break the rules of Raft are bugs: `InvariantError`.
 */
export class DurableLog {
  readonly #writer: LogWriter;
  readonly #group: GroupCommit<LogItem>;
  readonly #segments: SegmentSet;
  readonly #pool: SegmentPool;
  readonly #state: LogState;
  /** As the last call left it: ahead of the disk while something is under way. */
  #hardState: HardState;
  #closing: Promise<void> | undefined;

  private constructor(parts: {
    readonly writer: LogWriter;
    readonly segments: SegmentSet;
    readonly pool: SegmentPool;
    readonly state: LogState;
  }) {
    this.#writer = parts.writer;
    this.#segments = parts.segments;
    this.#pool = parts.pool;
    this.#state = parts.state;
    this.#hardState = parts.state.hardState;
    this.#group = new GroupCommit({
      commit: (items) => this.#writer.commit(items),
      groupBytesMax: GROUP_BYTES_MAX,
      queueBytesMax: QUEUE_BYTES_MAX,
      onFailed: () => {
        // What was not written is not known: it must not go out with a later batch, nor pass for written.
        this.#hardState = this.#state.hardState;
      },
    });
  }

  /**
   * Reads the log, or makes an empty one. What it returns is durable, also if the process before died between a write
   * and its sync. `log-corrupt`: something durable is damaged or missing, nothing was changed; `log-version`: another
   * version of Trivet wrote it; `log-full`, `log-failed`: the disk.
   */
  static async open(options: DurableLogOptions): Promise<OpenedLog> {
    const { open } = await DurableLog.read(options);
    return open();
  }

  /**
   * The first half of `open`: for who knows more of the log than the log does. It may have lost its end, which opening it would cut
   * for good.
   */
  static async read(options: DurableLogOptions): Promise<UnopenedLog> {
    const { directory, segmentBytes = SEGMENT_BYTES } = options;
    invariant(
      segmentBytes >= SEGMENT_BYTES_MIN && segmentBytes % 8 === 0,
      `A segment of ${segmentBytes} bytes is too small, or no multiple of 8`,
    );
    try {
      const found = await findLog(directory);
      const state =
        found.state ?? new LogState({ base: LOG_START, last: LOG_START, hardState: INITIAL_HARD_STATE });
      const { base, hardState } = state;
      return {
        content: { base, entries: found.entries, hardState },
        wasClosed: found.isClosed,
        open: () => DurableLog.#open({ ...options, segmentBytes }, found, state),
      };
    } catch (error) {
      throw diskError("Opening the Raft log", error);
    }
  }

  static async #open(
    options: Required<DurableLogOptions>,
    found: FoundLog,
    state: LogState,
  ): Promise<OpenedLog> {
    const { directory, logger, segmentBytes } = options;
    try {
      const { tail, tornBytes } = await mendLog(directory, logger, found);
      const { segments, entries } = found;
      const newest = found.prepared.at(-1) ?? found.tail?.segment;
      const pool = new SegmentPool({
        directory,
        logger,
        segmentBytes,
        prepared: found.prepared,
        nextNumber: (newest?.number ?? 0) + 1,
      });
      const reservedBytes = Math.min(RESERVED_BYTES, segmentBytes / 8);
      const sequence = found.tail?.sequence ?? 0;
      const bufferBytes = 2 * GROUP_BYTES_MAX;
      const writer = new LogWriter({ state, segments, pool, reservedBytes, bufferBytes, tail, sequence });
      const log = new DurableLog({ writer, segments, pool, state });
      try {
        if (tail === undefined) await log.#submit([], undefined);
      } catch (error) {
        await writer.close();
        throw error;
      }
      log.#reclaim();
      await pool.settle();
      const { base, hardState } = state;
      return { log, recovered: { base, entries, hardState, tornBytes } };
    } catch (error) {
      throw diskError("Opening the Raft log", error);
    }
  }

  /** Files of the log, those that wait to be used or removed included. */
  get segments(): number {
    return this.#segments.count + this.#pool.count;
  }

  /** Space that they take. */
  get bytes(): number {
    return this.#segments.bytes + this.#pool.bytes;
  }

  /**
   * Resolves when the batch is durable, all of it at once; earlier calls have resolved by then. Calls that come while
   * a sync is under way share the next one. With a base, the segments without any needed entry are removed or put by after that.
   *
   * A batch that changes nothing but `commit` is not worth a sync: it goes out with the next batch that is, and
   * resolves when the calls before it have.
   */
  async append(batch: LogBatch): Promise<void> {
    this.#checkOpen();
    const { base = null, entries, hardState = this.#hardState } = batch;
    const now = this.#hardState;
    // Whether `commit` is behind the last entry shows when the entries before it are written.
    const violation = hardStateViolation(now, hardState, Number.POSITIVE_INFINITY);
    invariant(violation === undefined, `A hard state cannot go into the log: ${violation}`);
    const isHint =
      base === null && entries.length === 0 && hardState.term === now.term && hardState.vote === now.vote;
    const records = entries.map(encodeRecord);
    if (!isHint) this.#group.checkRoom(bytesOf(records) + ITEM_BYTES);
    this.#hardState = hardState;
    await (isHint ? this.#group.afterLast() : this.#submit(records, base ?? undefined));
    // Not waited for: what is durable behind this call would have to wait with it.
    if (base !== null) this.#reclaim();
  }

  /**
   * Appends nothing but a base: term, vote and what is behind it stay. The little room that it needs is kept for it. Resolves when the
   * segments without any needed entry are removed or put by, too.
   */
  async compact(base: LogPosition): Promise<void> {
    const commit = Math.max(this.#hardState.commit, base.index);
    await this.append({ base, hardState: { ...this.#hardState, commit }, entries: [] });
    await this.#pool.settle();
  }

  /**
   * Writes what waits, and that the log was closed in good order, which it goes without on a full disk; releases the files. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (this.#writer.failure === undefined)
        await this.#submit([encodeRecord({ kind: "closed" })], undefined);
    } catch (error) {
      // Then it looks as after a crash, and that is all.
      if (!isTrivetError(error, "log-full")) throw error;
    } finally {
      await this.#pool.settle();
      await this.#writer.close();
    }
  }

  #submit(records: readonly EncodedRecord[], base: LogPosition | undefined): Promise<void> {
    const bytes = bytesOf(records);
    return this.#group.submit({ records, bytes, base, hardState: this.#hardState }, bytes + ITEM_BYTES);
  }

  #reclaim(): void {
    this.#pool.reclaim(this.#segments.takeUnneeded(this.#state.base.index));
  }

  #checkOpen(): void {
    const { failure } = this.#writer;
    if (failure !== undefined) throw failure;
    if (this.#closing !== undefined) throw logError("log-closed", "The Raft log is closed. Open it again.");
  }
}

function bytesOf(records: readonly EncodedRecord[]): number {
  return records.reduce((sum, record) => sum + record.bytes, 0);
}
