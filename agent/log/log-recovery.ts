import { type Directory, isMediumError } from "../platform/directory.ts";
import { messageOf } from "../platform/trivet-error.ts";
import type { Entry } from "../raft/types.ts";
import { findFrames, readBatch } from "./batch-reader.ts";
import { logCorrupt, logFailed } from "./log-errors.ts";
import { recordOfFrame } from "./log-record.ts";
import { LogReplay } from "./log-replay.ts";
import type { LogState } from "./log-state.ts";
import { frameBytes, readFrameHeader, readFramePayload } from "./record-frame.ts";
import { parseSegmentName, segmentName, UNFINISHED_SEGMENT_NAME } from "./segment-name.ts";
import { SEGMENT_BYTES_MIN, type Segment, SegmentSet } from "./segment-set.ts";

/**
 * Reads the log at start, changes nothing, and tells a torn tail from damage.
 *
 * What the writer guarantees:
 *  W1  Batches carry the sequences 1, 2, 3, ... A batch is one write, whole in one segment.
 *  W2  Batch n + 1 is written only after the sync of batch n has succeeded. So whatever shows that batch n + 1 was ever
 *      begun proves that all of batch n was durable, whether or not it was acknowledged yet.
 *  W3  A segment begins with a head that repeats the state, in the first batch written to it. It gets its number only
 *      when its file is whole and durable, and the numbers become durable in their order: so a missing number is
 *      damage, unless the segments before the gap are not needed any more and were being removed. The head says how long
 *      the file was then, and it never shrinks: so a shorter one is damage too.
 *  W4  What the start cuts it wipes durably before anything is written: at any time at most one incomplete batch is on
 *      the disk, and its sequence is the next one.
 *  W5  No header validates in a segment of another number. What is left in a file that is used again is as good as zeros.
 *  W6  An overwritten sector has the old or the new content after a power cut; sectors that were not written are left
 *      alone (what SQLite calls powersafe overwrite).
 *
 * So let batch n be the last of an unbroken series of complete batches, and look at every header behind it, in the
 * rest of its segment and in all later ones, whatever stands in between (a lost header leaves no length to follow):
 *  - none: the log ends there. Files of higher numbers were prepared and never used.
 *  - only of batch n + 1: a torn tail, nothing of it was ever acknowledged. It is to be cut. This covers a tear in the
 *    middle with later sectors present, a tear in the first batch of a segment, and a crash during an earlier cut.
 *  - of any later batch: batch n + 1 was durable by W2 and is damaged. By W4, neither can an older one be there.
 *
 * What cannot be told apart: damage to the last batch of all from a torn one, and the loss of every header behind some
 * batch (a disk that has gone back in time) from a log that ends there. No log can by itself (Alagappan et al.,
 * Protocol-Aware Recovery, FAST 2018); only the databases, where they are further, tell of it (`assertOneHistory`). A log that is closed in good
 * order ends with a batch that says only that, so the batch before it is not the last one. And a torn batch that lost the
 * header of a payload is searched inside that payload: a copy of a segment in there could be taken for damage, never for
 * content.
 */
export interface FoundLog {
  /** Undefined if no batch was ever completed: a log that is new, or whose making was cut short. */
  readonly state: LogState | undefined;
  readonly entries: readonly Entry[];
  /** It was closed in good order, and nothing shows that it was written to since. */
  readonly isClosed: boolean;
  readonly segments: SegmentSet;
  readonly tail: LogTail | undefined;
  readonly torn: TornBatch | undefined;
  /** Files with a higher number than all that are in use, in order: nothing in them counts. */
  readonly prepared: readonly Segment[];
  /** Files that are no part of the log (any more). */
  readonly leftovers: readonly string[];
}

/** The last complete batch, which the next one follows. */
export interface LogTail {
  readonly segment: Segment;
  readonly sequence: number;
  readonly offset: number;
  readonly end: number;
  /** Of the whole segment, as it was read. */
  readonly image: Buffer;
}

/** Where the remains of an incomplete batch are: nothing that counts is between `from` and `to`. */
export interface TornBatch {
  readonly segment: Segment;
  readonly from: number;
  readonly to: number;
}

/** Throws `log-corrupt`, or `log-version` for a log of another version of the format. */
export async function findLog(directory: Directory): Promise<FoundLog> {
  const names = await directory.list();
  const { run, leftovers } = lastRun(names);
  const reading = new Reading(run[0] ?? 1);
  for (const number of run) {
    const image = await readSegment(directory, number);
    reading.takeSegment(image, { number, bytes: image.length });
  }
  return { ...reading.finish(), leftovers };
}

/** The state of one pass over the segments, oldest first. */
class Reading {
  readonly #segments = new SegmentSet();
  readonly #replay = new LogReplay(this.#segments);
  readonly #first: number;
  #tail: LogTail | undefined;
  #torn: TornBatch | undefined;
  #unused: Segment[] = [];
  /** What stood where the batches of the last segment ended. */
  #ended = "another one";

  constructor(firstSegment: number) {
    this.#first = firstSegment;
  }

  takeSegment(image: Buffer, segment: Segment): void {
    assertWhole(image, segment);
    const { number } = segment;
    let end = 0;
    for (;;) {
      const batch = readBatch(image, number, end);
      if (batch.kind === "none") {
        this.#ended = batch.found;
        this.#judgeRest(image, segment, end);
        break;
      }
      if (!this.#isNext(batch.sequence)) throw this.#outOfPlace(batch.sequence, segment, end, this.#ended);
      if (end === 0) this.#checkUnused(segment);
      this.#replay.take(batch, segment, end === 0);
      this.#tail = { segment, image, sequence: batch.sequence, offset: end, end: batch.end };
      end = batch.end;
    }
    if (end === 0) this.#unused.push(segment);
  }

  finish(): Omit<FoundLog, "leftovers"> {
    const entries = this.#replay.finish(this.#first);
    if (this.#tail === undefined && this.#first !== 1) {
      const found = "it holds no complete batch, and the segments before it are missing";
      throw logCorrupt(segmentName(this.#first), found);
    }
    return {
      state: this.#replay.state,
      entries,
      isClosed: this.#replay.isClosed && this.#torn === undefined,
      segments: this.#segments,
      tail: this.#tail,
      torn: this.#torn,
      prepared: this.#unused,
    };
  }

  /** Looks behind the last complete batch of a segment, which ends at `end`. */
  #judgeRest(image: Buffer, segment: Segment, end: number): void {
    for (const { offset, header } of findFrames(image, segment.number, end)) {
      const isElsewhere = this.#torn !== undefined && this.#torn.segment !== segment;
      if (!this.#isNext(header.sequence) || isElsewhere) {
        // mark: log: a batch is missing before one that was written later
        throw this.#outOfPlace(header.sequence, segment, offset, this.#ended);
      }
      const to = Math.min(segment.bytes, offset + frameBytes(header.payloadLength));
      this.#torn = { segment, from: end, to };
    }
  }

  /** A used segment follows: everything before it was used, and nothing before it is torn. */
  #checkUnused(segment: Segment): void {
    const hole = this.#unused[0] ?? this.#torn?.segment;
    if (hole === undefined) return;
    // mark: log: the end of a segment is missing, and the next one goes on
    const found = `it ends with an incomplete batch or is empty, and ${segmentName(segment.number)} goes on`;
    throw logCorrupt(segmentName(hole.number), found);
  }

  /** A log whose first segments were removed begins with any batch, a complete one. */
  #isNext(sequence: number): boolean {
    if (this.#tail !== undefined) return sequence === this.#tail.sequence + 1;
    return this.#first === 1 ? sequence === 1 : true;
  }

  /** The next batch is not where it must be, `found` is, and batch `sequence` stands at `offset` of `segment`. */
  #outOfPlace(sequence: number, segment: Segment, offset: number, found: string): Error {
    const { number, end, expected } = this.#tail
      ? { number: this.#tail.segment.number, end: this.#tail.end, expected: this.#tail.sequence + 1 }
      : { number: this.#first, end: 0, expected: 1 };
    const proof = sequence > expected ? `, written only after batch ${expected} was durable` : "";
    const other = `batch ${sequence} is in ${segmentName(segment.number)} at offset ${offset}${proof}`;
    return logCorrupt(
      `${segmentName(number)} at offset ${end}`,
      `expected batch ${expected}, found ${found}; ${other}`,
    );
  }
}

/** Also of a segment whose first batch is torn: the record that says how long its file is comes first in it. */
function assertWhole(image: Buffer, { number, bytes }: Segment): void {
  const header = readFrameHeader(image, 0, number);
  const payload = header && readFramePayload(image, 0, header);
  const head = header && payload && recordOfFrame({ ...header, payload });
  const whole = Math.max(SEGMENT_BYTES_MIN, head?.kind === "segment" ? head.bytes : 0);
  if (bytes >= whole) return;
  throw logCorrupt(segmentName(number), `its end is missing: ${bytes} bytes are left of at least ${whole}`);
}

/** The segments of the highest numbers without a gap; what is before a gap was being removed (W3). */
function lastRun(names: readonly string[]): {
  readonly run: readonly number[];
  readonly leftovers: readonly string[];
} {
  const numbers = names
    .map(parseSegmentName)
    .filter((number) => number !== undefined)
    .sort((one, other) => one - other);
  const gap = numbers.findLastIndex((number, at) => at > 0 && numbers[at - 1] !== number - 1);
  const leftovers = numbers.slice(0, Math.max(0, gap)).map(segmentName);
  const unfinished = names.filter((name) => name === UNFINISHED_SEGMENT_NAME);
  return { run: numbers.slice(Math.max(0, gap)), leftovers: [...leftovers, ...unfinished] };
}

async function readSegment(directory: Directory, number: number): Promise<Buffer> {
  const name = segmentName(number);
  try {
    const file = await directory.open(name);
    try {
      return await file.read(0, await file.size());
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isMediumError(error)) throw logFailed(`Reading the Raft log (${name})`, error);
    throw logCorrupt(name, `it cannot be read (${messageOf(error)})`, error);
  }
}
