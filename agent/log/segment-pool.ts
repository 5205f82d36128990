import { type Directory, type DiskFile, systemErrorCode } from "../platform/directory.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { FailureNotes } from "./failure-notes.ts";
import { diskError } from "./log-errors.ts";
import { segmentName, UNFINISHED_SEGMENT_NAME } from "./segment-name.ts";
import type { Segment } from "./segment-set.ts";

/** One is needed next, another saves the removal and the writing of zeros that would follow soon. */
const PREPARED_MAX = 2;
/** How much is written between two syncs: the log's own syncs wait behind it on the same disk. */
const FILL_BYTES = 256 * 1024;
/**
 * How much one write fills. Linux caches what one write brings as one unit (a large folio) and accounts all of it for
 * each later write into it: with larger ones, iotop and cgroups would show a hundred times what reaches the disk.
 */
const FILL_PAGE_BYTES = 4096;

/** A segment that the writer has taken to write to. */
export interface OpenSegment extends Segment {
  readonly file: DiskFile;
}

/**
 * Segment files before and after their use. A file gets the next number when its blocks are allocated and its content,
 * zeros or the remains of another segment, is durable; each number is durable before the next one is given.
 *
 * One thing at a time: whatever is asked for waits for what was begun before.
 */
export class SegmentPool {
  readonly #directory: Directory;
  readonly #failures: FailureNotes;
  readonly #segmentBytes: number;
  readonly #prepared: Segment[];
  /** Hold nothing any more and are still there: the disk has refused to rename or remove them. Oldest first. */
  readonly #unneeded: Segment[] = [];
  #nextNumber: number;
  #isPreparing = false;
  #work: Promise<void> = Promise.resolve();

  constructor(options: {
    readonly directory: Directory;
    readonly logger: Logger;
    readonly segmentBytes: number;
    readonly prepared: readonly Segment[];
    /** The first number that no file has. */
    readonly nextNumber: number;
  }) {
    this.#directory = options.directory;
    this.#failures = new FailureNotes(options.logger);
    this.#segmentBytes = options.segmentBytes;
    this.#prepared = [...options.prepared];
    this.#nextNumber = options.nextNumber;
  }

  /** Files that wait to be used, or to be removed. */
  get count(): number {
    return this.#prepared.length + this.#unneeded.length;
  }

  /** Of these files. */
  get bytes(): number {
    return [...this.#prepared, ...this.#unneeded].reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** Makes the next segment in the background, if there is none. A failure is logged: `take()` tries again. */
  prepare(): void {
    if (this.#prepared.length > 0 || this.#isPreparing) return;
    this.#isPreparing = true;
    this.#inBackground("prepare a segment", async () => {
      try {
        if (this.#prepared.length === 0) await this.#make();
      } finally {
        this.#isPreparing = false;
      }
    });
  }

  /**
   * The next segment, with room for `bytes`. Rejects with `log-full` if there is no space for it, with `log-failed`
   * for any other failure; a later call may do better.
   */
  async take(bytes: number): Promise<OpenSegment> {
    const taken = this.#work.then(() => this.#take(bytes));
    // Its failure is told to the caller, and to nobody who waits behind it.
    this.#work = taken.then(
      () => undefined,
      () => undefined,
    );
    return await taken;
  }

  async #take(bytes: number): Promise<OpenSegment> {
    try {
      if (this.#prepared.length === 0) await this.#make();
      const [next] = this.#prepared;
      invariant(next !== undefined, "A segment was made, and is not there");
      const file = await this.#directory.open(segmentName(next.number));
      try {
        // What another process has made longer may be there in memory only, after a sync that failed.
        const whole = Math.min(next.bytes, this.#segmentBytes);
        const size = await fillWithZeros(file, whole, Math.max(bytes, next.bytes, this.#segmentBytes));
        this.#prepared.shift();
        return { number: next.number, bytes: size, file };
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (error) {
      throw diskError("Making a segment of the Raft log", error);
    }
  }

  /** In the background: uses segments that hold nothing any more again, or removes their files. A failure is logged; the next call tries again. */
  reclaim(segments: readonly Segment[]): void {
    this.#unneeded.push(...segments);
    if (this.#unneeded.length === 0) return;
    this.#inBackground("remove segments that are not needed", async () => {
      // A file of which only the sync has failed has its new name already.
      const names = new Set(await this.#directory.list());
      for (let first = this.#unneeded[0]; first !== undefined; first = this.#unneeded[0]) {
        if (names.has(segmentName(first.number))) await this.#reclaim(first);
        this.#unneeded.shift();
      }
      await this.#directory.sync();
    });
  }

  /** Resolves when nothing is under way. */
  async settle(): Promise<void> {
    await this.#work;
  }

  #inBackground(what: string, work: () => Promise<void>): void {
    const next = "the log goes on; segments stay until the next compaction or start";
    this.#work = this.#work.then(() => this.#failures.note(what, next, work));
  }

  async #reclaim(segment: Segment): Promise<void> {
    const name = segmentName(segment.number);
    const isUsable = segment.bytes === this.#segmentBytes && this.#prepared.length < PREPARED_MAX;
    if (!isUsable) return await this.#directory.remove(name);
    // mark: log: a segment is used again
    await this.#give(name, segment.bytes);
  }

  async #make(): Promise<void> {
    try {
      const file = await this.#directory.open(UNFINISHED_SEGMENT_NAME);
      try {
        await fillWithZeros(file, 0, this.#segmentBytes);
      } finally {
        await file.close();
      }
    } catch (error) {
      // mark: log: a segment could not be made
      // Half a segment must not hold space that others lack.
      const next = "it is overwritten by the next one";
      await this.#failures.note("remove an unfinished segment", next, () => this.#removeUnfinished());
      throw error;
    }
    await this.#give(UNFINISHED_SEGMENT_NAME, this.#segmentBytes);
  }

  async #removeUnfinished(): Promise<void> {
    try {
      await this.#directory.remove(UNFINISHED_SEGMENT_NAME);
    } catch (error) {
      // Not even that could be made.
      if (systemErrorCode(error) !== "ENOENT") throw error;
    }
  }

  /** Gives the file the next number, durably. */
  async #give(name: string, bytes: number): Promise<void> {
    const number = this.#nextNumber;
    await this.#directory.rename(name, segmentName(number));
    await this.#directory.sync();
    this.#nextNumber = number + 1;
    this.#prepared.push({ number, bytes });
  }
}

/** Makes `file` at least `wanted` bytes long, durably, with zeros from `size` on; returns its size. */
export async function fillWithZeros(file: DiskFile, size: number, wanted: number): Promise<number> {
  if (size >= wanted) return size;
  const zeros = Buffer.alloc(FILL_PAGE_BYTES);
  for (let at = size; at < wanted; ) {
    const stop = Math.min(wanted, at + FILL_BYTES);
    for (; at < stop; at += zeros.length)
      await file.write(at, zeros.subarray(0, Math.min(zeros.length, stop - at)));
    await file.sync();
  }
  return wanted;
}
