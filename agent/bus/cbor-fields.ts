import { invariant } from "../platform/invariant.ts";

/**
 * The four CBOR items (RFC 8949) that datagrams are made of, written and read by hand: unsigned integers, byte
 * strings, text strings and definite arrays. A general decoder would allocate what a stranger's header claims;
 * this one allocates nothing, returns byte strings as views, and takes only the shortest form of a number.
 */
const MAJOR_UINT = 0;
const MAJOR_BYTES = 2;
const MAJOR_TEXT = 3;
const MAJOR_ARRAY = 4;
/** The most bytes that the head of one item takes. */
export const CBOR_HEAD_BYTES_MAX = 9;

/** Writes items into one buffer of fixed capacity; running over it is a bug of the caller. */
export class CborWriter {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(capacityBytes: number) {
    this.#buffer = Buffer.allocUnsafe(capacityBytes);
  }

  array(length: number): this {
    return this.#head(MAJOR_ARRAY, length);
  }

  /** `value` is an integer from 0 to 2^53 - 1. */
  uint(value: number): this {
    return this.#head(MAJOR_UINT, value);
  }

  text(value: string): this {
    const length = Buffer.byteLength(value);
    this.#head(MAJOR_TEXT, length);
    this.#offset += this.#buffer.write(value, this.#offset, length, "utf8");
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#head(MAJOR_BYTES, value.byteLength);
    return this.raw(value);
  }

  /** Appends items that were encoded before. */
  raw(items: Uint8Array): this {
    this.#buffer.set(items, this.#offset);
    this.#offset += items.byteLength;
    return this;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#offset);
  }

  #head(major: number, value: number): this {
    invariant(Number.isSafeInteger(value) && value >= 0, `CBOR head of ${value}`);
    const buffer = this.#buffer;
    const type = major << 5;
    if (value < 24) {
      this.#offset = buffer.writeUInt8(type | value, this.#offset);
    } else if (value < 2 ** 8) {
      this.#offset = buffer.writeUInt16BE(((type | 24) << 8) | value, this.#offset);
    } else if (value < 2 ** 16) {
      this.#offset = buffer.writeUInt8(type | 25, this.#offset);
      this.#offset = buffer.writeUInt16BE(value, this.#offset);
    } else if (value < 2 ** 32) {
      this.#offset = buffer.writeUInt8(type | 26, this.#offset);
      this.#offset = buffer.writeUInt32BE(value, this.#offset);
    } else {
      this.#offset = buffer.writeUInt8(type | 27, this.#offset);
      this.#offset = buffer.writeUInt32BE(Math.floor(value / 2 ** 32), this.#offset);
      this.#offset = buffer.writeUInt32BE(value >>> 0, this.#offset);
    }
    return this;
  }
}

/**
 * Reads items in order. It never throws on what it reads: the first item that is not what was asked for makes
 * `ok` false for good, and from then on every call returns zero or empty.
 */
export class CborReader {
  readonly #buffer: Buffer;
  #offset = 0;
  #ok = true;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get ok(): boolean {
    return this.#ok;
  }

  /** True if everything read was well formed and nothing is left over. */
  get done(): boolean {
    return this.#ok && this.#offset === this.#buffer.length;
  }

  array(): number {
    return this.#head(MAJOR_ARRAY);
  }

  uint(): number {
    return this.#head(MAJOR_UINT);
  }

  /** A text string of at most `bytesMax` bytes of UTF-8. */
  text(bytesMax: number): string {
    const length = this.#head(MAJOR_TEXT);
    if (length > bytesMax) this.#ok = false;
    const start = this.#take(length);
    return this.#ok ? this.#buffer.toString("utf8", start, start + length) : "";
  }

  /** A byte string, as a view of the input. */
  bytes(): Uint8Array {
    const length = this.#head(MAJOR_BYTES);
    const start = this.#take(length);
    return this.#ok ? this.#buffer.subarray(start, start + length) : new Uint8Array();
  }

  #head(major: number): number {
    const start = this.#take(1);
    if (!this.#ok) return 0;
    const first = this.#buffer.readUInt8(start);
    const additional = first & 31;
    if (first >> 5 !== major || additional > 27) return this.#fail();
    if (additional < 24) return additional;
    const at = this.#take(1 << (additional - 24));
    if (!this.#ok) return 0;
    const [value, least] = this.#argument(additional, at);
    return value >= least && value <= Number.MAX_SAFE_INTEGER ? value : this.#fail();
  }

  /** The value that follows the head's first byte, and the smallest that needs so many bytes. */
  #argument(additional: number, at: number): readonly [number, number] {
    const buffer = this.#buffer;
    if (additional === 24) return [buffer.readUInt8(at), 24];
    if (additional === 25) return [buffer.readUInt16BE(at), 2 ** 8];
    if (additional === 26) return [buffer.readUInt32BE(at), 2 ** 16];
    return [buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4), 2 ** 32];
  }

  #take(length: number): number {
    const start = this.#offset;
    if (!this.#ok || length > this.#buffer.length - start) {
      this.#ok = false;
      return start;
    }
    this.#offset += length;
    return start;
  }

  #fail(): number {
    this.#ok = false;
    return 0;
  }
}
