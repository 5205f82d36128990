import { crc32 } from "node:zlib";
import { SumTable } from "./sum-table.ts";

/**
 * What stands beside a database about its pages (`PageSums` keeps it):
 *
 *     header   magic (8), format (4), CRC of these (4), whether the database is open (1)
 *     table    state (28), the sum of each page (4), 0 for one that is not known; CRC of all of this (4)
 *     changes  number of sums (4), state (28), page (4) and sum (4) of each; CRC of all of this (4)
 *     changes  ...
 *
 *     state    pages of the database (4), mark: frames (4), restart (4), salts (8), checksum (8), all zero for none
 *
 * Whether it is open is written in place, one byte for the other: that cannot be torn, and takes no room on a disk that is full.
 * All integers little-endian, as the memory of all processors that Node runs on here: a table is read and written as it stands in
 * memory. Pages count from 1, as SQLite's do. Later changes go over earlier ones. The table was written whole or not at all; what a
 * crash has cut are the last changes.
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

interface SumsState {
  /** What is being moved into the file, or was the last to be; null if nothing was yet. */
  readonly mark: WalMark | null;
  /** Pages of the database once that is done. */
  readonly pageCount: number;
}

export interface SumsRecord extends SumsState {
  /** By page, as of then. */
  readonly sums: ReadonlyMap<number, number>;
}

/** `foreign`: of another format. */
export type DecodedSums =
  | {
      readonly kind: "sums";
      /** An agent has the database open, or was cut off: then there is a write-ahead log, if an empty one. */
      readonly isOpen: boolean;
      /** With all changes, and the mark of the last ones. */
      readonly table: SumTable;
      readonly mark: WalMark | null;
      /** Where the table ends, and the last changes. */
      readonly tableEnd: number;
      readonly end: number;
    }
  | { readonly kind: "foreign" }
  | { readonly kind: "damaged" };

/** The file as it is read, since it may be large. */
export interface SumsSource {
  readonly bytes: number;
  /** Fills `into` with what stands from `offset` on, all of it within `bytes`. */
  read(into: Uint8Array, offset: number): void;
}

const MAGIC = "trivetps";
const FORMAT = 3;
export const IS_OPEN_AT = 16;
const HEADER_BYTES = IS_OPEN_AT + 1;
/** No flipped bit makes one of the other. */
const [CLOSED, OPEN] = [0x00, 0xff];
const STATE_BYTES = 28;
const CRC_BYTES = 4;
const SUM_BYTES = 4;
const CHANGES_BYTES = 4 + STATE_BYTES;
const CHANGE_BYTES = 8;
/** Of a table, read or written at a time. */
const PIECE_SUMS = 64 * 1024;

/** Never 0, which stands for a page that nothing is known of. Finds every single flipped bit, and all but one in 2^32 of other changes. */
export function sumOf(page: Uint8Array): number {
  return crc32(page) || 1;
}

/**
 * All of a file, piece by piece, of a database with these sums (0: not known), which nobody has open if nothing else is said. The pieces
 * are no copies: `sums` must not change before the last one is written.
 */
export function* encodeSums(
  sums: Uint32Array,
  { isOpen, mark }: { readonly isOpen: boolean; readonly mark: WalMark | null } = {
    isOpen: false,
    mark: null,
  },
): Generator<Uint8Array, void, undefined> {
  yield encodeHeader(isOpen);
  const state = encodeState({ mark, pageCount: sums.length });
  yield state;
  let crc = crc32(state);
  for (const piece of piecesOf(sums)) {
    yield piece;
    crc = crc32(piece, crc);
  }
  yield encodeCrc(crc);
}

export function encodeIsOpen(isOpen: boolean): Buffer {
  return Buffer.of(isOpen ? OPEN : CLOSED);
}

/** What is appended for it. */
export function encodeChanges(record: SumsRecord): Buffer {
  const { sums } = record;
  const bytes = Buffer.alloc(CHANGES_BYTES + CHANGE_BYTES * sums.size + CRC_BYTES);
  bytes.writeUInt32LE(sums.size, 0);
  encodeState(record).copy(bytes, 4);
  let at = CHANGES_BYTES;
  for (const [page, sum] of sums) {
    bytes.writeUInt32LE(page, at);
    bytes.writeUInt32LE(sum, at + 4);
    at += CHANGE_BYTES;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(0, at)), at);
  return bytes;
}

export function decodeSums(source: SumsSource): DecodedSums {
  if (source.bytes < HEADER_BYTES) return { kind: "damaged" };
  const header = readBytes(source, 0, HEADER_BYTES);
  if (crc32(header.subarray(0, 12)) !== header.readUInt32LE(12)) return { kind: "damaged" };
  if (header.toString("latin1", 0, 8) !== MAGIC || header.readUInt32LE(8) !== FORMAT)
    return { kind: "foreign" };
  const isOpen = header[IS_OPEN_AT] === OPEN;
  if (!isOpen && header[IS_OPEN_AT] !== CLOSED) return { kind: "damaged" };
  const read = readTable(source, HEADER_BYTES);
  if (read === null) return { kind: "damaged" };
  const { table, end: tableEnd } = read;
  let { mark } = read;
  let end = tableEnd;
  for (;;) {
    const changes = readChanges(source, end);
    if (changes === null) return { kind: "sums", isOpen, table, mark, tableEnd, end };
    table.resize(changes.pageCount);
    for (const [page, sum] of changes.sums) table.set(page, sum);
    ({ mark, end } = changes);
  }
}

/** Null if no whole one stands at `from`. */
function readTable(
  source: SumsSource,
  from: number,
): { readonly table: SumTable; readonly mark: WalMark | null; readonly end: number } | null {
  const sumsFrom = from + STATE_BYTES;
  if (sumsFrom > source.bytes) return null;
  const state = readBytes(source, from, STATE_BYTES);
  const { mark, pageCount } = decodeState(state);
  const crcAt = sumsFrom + SUM_BYTES * pageCount;
  if (crcAt + CRC_BYTES > source.bytes) return null;
  const sums = new Uint32Array(pageCount);
  let crc = crc32(state);
  let at = sumsFrom;
  for (const piece of piecesOf(sums)) {
    source.read(piece, at);
    crc = crc32(piece, crc);
    at += piece.byteLength;
  }
  if (crc !== readBytes(source, crcAt, CRC_BYTES).readUInt32LE()) return null;
  return { table: new SumTable(sums), mark, end: crcAt + CRC_BYTES };
}

/** Null if no whole one stands at `from`. */
function readChanges(source: SumsSource, from: number): (SumsRecord & { readonly end: number }) | null {
  if (from + CHANGES_BYTES > source.bytes) return null;
  const head = readBytes(source, from, CHANGES_BYTES);
  const crcAt = CHANGES_BYTES + CHANGE_BYTES * head.readUInt32LE(0);
  const end = from + crcAt + CRC_BYTES;
  if (end > source.bytes) return null;
  const bytes = readBytes(source, from, end - from);
  if (crc32(bytes.subarray(0, crcAt)) !== bytes.readUInt32LE(crcAt)) return null;
  const sums = new Map<number, number>();
  for (let at = CHANGES_BYTES; at < crcAt; at += CHANGE_BYTES)
    sums.set(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
  return { ...decodeState(head.subarray(4)), sums, end };
}

function encodeHeader(isOpen: boolean): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32LE(FORMAT, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  encodeIsOpen(isOpen).copy(header, IS_OPEN_AT);
  return header;
}

function encodeState({ mark, pageCount }: SumsState): Buffer {
  const bytes = Buffer.alloc(STATE_BYTES);
  bytes.writeUInt32LE(pageCount, 0);
  bytes.writeUInt32LE(mark?.frames ?? 0, 4);
  bytes.writeUInt32LE(mark?.restart ?? 0, 8);
  bytes.writeBigUInt64LE(mark?.salts ?? 0n, 12);
  bytes.writeBigUInt64LE(mark?.checksum ?? 0n, 20);
  return bytes;
}

function decodeState(bytes: Buffer): SumsState {
  const mark: WalMark = {
    frames: bytes.readUInt32LE(4),
    restart: bytes.readUInt32LE(8),
    salts: bytes.readBigUInt64LE(12),
    checksum: bytes.readBigUInt64LE(20),
  };
  return { mark: mark.frames === 0 ? null : mark, pageCount: bytes.readUInt32LE(0) };
}

function encodeCrc(crc: number): Buffer {
  const bytes = Buffer.alloc(CRC_BYTES);
  bytes.writeUInt32LE(crc);
  return bytes;
}

function readBytes(source: SumsSource, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  source.read(bytes, offset);
  return bytes;
}

/** The same memory. None is empty, for which zlib need not go on from the CRC it is given. */
function* piecesOf(sums: Uint32Array): Generator<Uint8Array, void, undefined> {
  for (let from = 0; from < sums.length; from += PIECE_SUMS) {
    const piece = sums.subarray(from, from + PIECE_SUMS);
    yield new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
}
