import { crc32 } from "node:zlib";

/**
 * What stands beside a database about its pages (`PageSums` keeps it):
 *
 *     header   magic (8), format (4), CRC of these (4), whether the database is open (1)
 *     record   CRC of the rest (4), number of sums (4), pages of the database (4),
 *              mark: frames (4), restart (4), salts (8), checksum (8), all zero for none
 *              and for each sum: page (4), sum (4)
 *     record   ...
 *
 * Whether it is open is written in place, one byte for the other: that cannot be torn, and takes no room on a disk that is full.
 * All integers little-endian; pages count from 1, as SQLite's do. A later record goes over an earlier one. The first was written whole
 * or not at all; what a crash has cut is the last one.
 */

/** A write-ahead log up to one of its frames, as that frame's own checksum tells it from all others. */
export interface WalMark {
  /** How often it has begun anew, and its salts: SQLite takes the same salts again where the header of a new log is torn. */
  readonly restart: number;
  readonly salts: bigint;
  /** At least 1. */
  readonly frames: number;
  readonly checksum: bigint;
}

export interface SumsRecord {
  /** What is being moved into the file, or was the last to be; null if nothing was yet. */
  readonly mark: WalMark | null;
  /** Pages of the database once that is done. */
  readonly pageCount: number;
  /** By page, as of then. */
  readonly sums: ReadonlyMap<number, number>;
}

/** `foreign`: of another format. */
export type DecodedSums =
  | {
      readonly kind: "sums";
      /** An agent has the database open, or was cut off: then there is a write-ahead log, if an empty one. */
      readonly isOpen: boolean;
      readonly records: readonly SumsRecord[];
      /** Where the first record ends, and the last. */
      readonly firstBytes: number;
      readonly validBytes: number;
    }
  | { readonly kind: "foreign" }
  | { readonly kind: "damaged" };

const MAGIC = "trivetps";
const FORMAT = 2;
export const IS_OPEN_AT = 16;
const HEADER_BYTES = IS_OPEN_AT + 1;
/** No flipped bit makes one of the other. */
const [CLOSED, OPEN] = [0x00, 0xff];
const RECORD_BYTES = 36;
const SUM_BYTES = 8;

/** Never 0, which stands for a page that nothing is known of. Finds every single flipped bit, and all but one in 2^32 of other changes. */
export function sumOf(page: Uint8Array): number {
  return crc32(page) || 1;
}

/** All of a file, of a database with these sums (0: not known), which nobody has open if nothing else is said. */
export function encodeSums(
  table: Uint32Array,
  { isOpen, mark }: { readonly isOpen: boolean; readonly mark: WalMark | null } = {
    isOpen: false,
    mark: null,
  },
): Buffer {
  const sums = new Map<number, number>();
  for (const [at, sum] of table.entries()) if (sum !== 0) sums.set(at + 1, sum);
  return Buffer.concat([encodeHeader(isOpen), encodeSumsRecord({ mark, pageCount: table.length, sums })]);
}

function encodeHeader(isOpen: boolean): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32LE(FORMAT, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  encodeIsOpen(isOpen).copy(header, IS_OPEN_AT);
  return header;
}

export function encodeIsOpen(isOpen: boolean): Buffer {
  return Buffer.of(isOpen ? OPEN : CLOSED);
}

export function encodeSumsRecord({ mark, pageCount, sums }: SumsRecord): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES + SUM_BYTES * sums.size);
  bytes.writeUInt32LE(sums.size, 4);
  bytes.writeUInt32LE(pageCount, 8);
  bytes.writeUInt32LE(mark?.frames ?? 0, 12);
  bytes.writeUInt32LE(mark?.restart ?? 0, 16);
  bytes.writeBigUInt64LE(mark?.salts ?? 0n, 20);
  bytes.writeBigUInt64LE(mark?.checksum ?? 0n, 28);
  let at = RECORD_BYTES;
  for (const [page, sum] of sums) {
    bytes.writeUInt32LE(page, at);
    bytes.writeUInt32LE(sum, at + 4);
    at += SUM_BYTES;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

export function decodeSums(bytes: Buffer): DecodedSums {
  if (bytes.length < IS_OPEN_AT || crc32(bytes.subarray(0, 12)) !== bytes.readUInt32LE(12))
    return { kind: "damaged" };
  if (bytes.toString("latin1", 0, 8) !== MAGIC || bytes.readUInt32LE(8) !== FORMAT)
    return { kind: "foreign" };
  const isOpen = bytes[IS_OPEN_AT] === OPEN;
  if (!isOpen && bytes[IS_OPEN_AT] !== CLOSED) return { kind: "damaged" };
  const records: SumsRecord[] = [];
  const ends: number[] = [];
  for (let from = HEADER_BYTES; ; from = ends.at(-1) ?? from) {
    const record = readRecord(bytes, from);
    if (record === null) break;
    records.push(record);
    ends.push(from + RECORD_BYTES + SUM_BYTES * record.sums.size);
  }
  const [firstBytes] = ends;
  if (firstBytes === undefined) return { kind: "damaged" };
  return { kind: "sums", isOpen, records, firstBytes, validBytes: ends.at(-1) ?? firstBytes };
}

/** Null if no whole one stands at `from`. */
function readRecord(bytes: Buffer, from: number): SumsRecord | null {
  const sumsFrom = from + RECORD_BYTES;
  if (sumsFrom > bytes.length) return null;
  const end = sumsFrom + SUM_BYTES * bytes.readUInt32LE(from + 4);
  if (end > bytes.length || crc32(bytes.subarray(from + 4, end)) !== bytes.readUInt32LE(from)) return null;
  const sums = new Map<number, number>();
  for (let at = sumsFrom; at < end; at += SUM_BYTES)
    sums.set(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
  const mark: WalMark = {
    frames: bytes.readUInt32LE(from + 12),
    restart: bytes.readUInt32LE(from + 16),
    salts: bytes.readBigUInt64LE(from + 20),
    checksum: bytes.readBigUInt64LE(from + 28),
  };
  return { mark: mark.frames === 0 ? null : mark, pageCount: bytes.readUInt32LE(from + 8), sums };
}
