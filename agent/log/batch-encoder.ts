import { frameOfRecord, type LogRecord } from "./log-record.ts";
import { type FrameContent, frameBytes, writeFrame } from "./record-frame.ts";

/** A record whose payload is encoded already, so that its size is known. */
export interface EncodedRecord {
  readonly record: LogRecord;
  readonly frame: FrameContent;
  /** On disk, with header and padding. */
  readonly bytes: number;
}

export function encodeRecord(record: LogRecord): EncodedRecord {
  const frame = frameOfRecord(record);
  return { record, frame, bytes: frameBytes(frame.payload.length) };
}

/** Gathers the records of a batch into one piece of memory, which it uses again for the next batch. */
export class BatchEncoder {
  readonly #keepBytes: number;
  #buffer: Buffer;

  /** Keeps up to `keepBytes` between batches; a larger batch gets memory of its own. */
  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
    this.#buffer = Buffer.allocUnsafeSlow(16 * 1024);
  }

  /** The bytes of the batch. Valid until the next call. */
  encode(
    records: readonly EncodedRecord[],
    place: { readonly segment: number; readonly sequence: number },
  ): Buffer {
    const buffer = this.#bufferOf(records.reduce((sum, record) => sum + record.bytes, 0));
    let end = 0;
    for (const [position, { frame }] of records.entries()) {
      end = writeFrame(buffer, end, frame, { ...place, position, isLast: position === records.length - 1 });
    }
    return buffer.subarray(0, end);
  }

  #bufferOf(bytes: number): Buffer {
    if (bytes <= this.#buffer.length) return this.#buffer;
    if (bytes > this.#keepBytes) return Buffer.allocUnsafeSlow(bytes);
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(this.#keepBytes, bytes * 2));
    return this.#buffer;
  }
}
