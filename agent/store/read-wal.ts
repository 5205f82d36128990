import fs from "node:fs";
import { systemErrorCode } from "../platform/directory.ts";
import { PAGE_BYTES } from "./limits.ts";
import { sumOf, type WalMark } from "./page-sums-codec.ts";

/** SQLite's write-ahead log (its file format document, section 4): a header, and frames of a header and a page each. */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES;
/** Checksums over little-endian words, as the build makes them. */
const MAGIC = 0x377f0682;
const FRAMES_PER_READ = 64;

/** What a write-ahead log holds that checks out, up to a commit. */
export interface WalContent {
  /** Of its last commit; null if it has none. */
  readonly end: WalMark | null;
  /** Pages of the database as of then. */
  readonly pageCount: number;
  /** Of the newest frame of each page. */
  readonly sums: ReadonlyMap<number, number>;
  /** The same as of the mark that was asked for; null if it does not go as far. */
  readonly atMark: ReadonlyMap<number, number> | null;
}

/** True if the mark is one of the write-ahead log that the file holds now, however much of it is there. */
export function isOfWal(path: string, mark: WalMark): boolean {
  const header = withFile(path, null, readHeader);
  return header?.restart === mark.restart && header.salts === mark.salts;
}

/**
 * Reads a write-ahead log up to its first frame that does not check out, and no further than `framesMax`. SQLite itself looks at the
 * checksums only when it opens one: what flips in it after that goes into the database unseen.
 */
export function readWal(path: string, framesMax: number, mark: WalMark | null): WalContent {
  const sums = new Map<number, number>();
  let end: WalMark | null = null;
  let pageCount = 0;
  let atMark: ReadonlyMap<number, number> | null = null;
  withFile(path, undefined, (file) => {
    const uncommitted = new Map<number, number>();
    for (const frame of framesOf(file, framesMax)) {
      uncommitted.set(frame.page, frame.sum);
      if (frame.pageCount === 0) continue;
      for (const [page, sum] of uncommitted) sums.set(page, sum);
      uncommitted.clear();
      ({ pageCount } = frame);
      end = frame.end;
      if (isSameMark(end, mark)) atMark = new Map(sums);
    }
  });
  return { end, pageCount, sums, atMark };
}

interface Frame {
  readonly page: number;
  readonly sum: number;
  /** 0 unless a commit ends here. */
  readonly pageCount: number;
  readonly end: WalMark;
}

function* framesOf(file: number, framesMax: number): Generator<Frame, void, undefined> {
  const header = readHeader(file);
  if (header === null) return;
  const { restart, salts, checksum } = header;
  const bytes = Buffer.from(new ArrayBuffer(FRAMES_PER_READ * FRAME_BYTES));
  for (let frames = 0; frames < framesMax; ) {
    const read = fs.readSync(file, bytes, 0, bytes.length, HEADER_BYTES + frames * FRAME_BYTES);
    for (let at = 0; at + FRAME_BYTES <= read && frames < framesMax; at += FRAME_BYTES) {
      checksum.add(bytes, at, 8);
      checksum.add(bytes, at + FRAME_HEADER_BYTES, PAGE_BYTES);
      if (bytes.readBigUInt64BE(at + 8) !== salts || bytes.readBigUInt64BE(at + 16) !== checksum.value)
        return;
      frames += 1;
      yield {
        page: bytes.readUInt32BE(at),
        sum: sumOf(bytes.subarray(at + FRAME_HEADER_BYTES, at + FRAME_BYTES)),
        pageCount: bytes.readUInt32BE(at + 4),
        end: { restart, salts, frames, checksum: checksum.value },
      };
    }
    if (read < bytes.length) return;
  }
}

/** Null if there is none that checks out. */
function readHeader(
  file: number,
): (Pick<WalMark, "restart" | "salts"> & { readonly checksum: WalChecksum }) | null {
  const header = Buffer.from(new ArrayBuffer(HEADER_BYTES));
  if (fs.readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return null;
  const checksum = new WalChecksum();
  checksum.add(header, 0, 24);
  const isSound = header.readUInt32BE(0) === MAGIC && header.readUInt32BE(8) === PAGE_BYTES;
  if (!isSound || header.readBigUInt64BE(24) !== checksum.value) return null;
  return { restart: header.readUInt32BE(12), salts: header.readBigUInt64BE(16), checksum };
}

/** SQLite's: cumulative from the header on, so that it speaks for all that was before. */
class WalChecksum {
  #first = 0;
  #second = 0;

  get value(): bigint {
    return (BigInt(this.#first >>> 0) << 32n) | BigInt(this.#second >>> 0);
  }

  /** `length` is a multiple of 8; `bytes` begins at a multiple of 4 in its buffer. */
  add(bytes: Buffer, from: number, length: number): void {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + from, length / 4);
    let first = this.#first;
    let second = this.#second;
    for (let at = 0; at < words.length; at += 2) {
      first = (first + (words[at] ?? 0) + second) | 0;
      second = (second + (words[at + 1] ?? 0) + first) | 0;
    }
    this.#first = first;
    this.#second = second;
  }
}

/** The checksum stands for the header as well. */
function isSameMark(one: WalMark, other: WalMark | null): boolean {
  return one.frames === other?.frames && one.checksum === other.checksum;
}

function withFile<Result>(path: string, absent: Result, use: (file: number) => Result): Result {
  let file: number;
  try {
    file = fs.openSync(path, "r");
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
    return absent;
  }
  try {
    return use(file);
  } finally {
    fs.closeSync(file);
  }
}
