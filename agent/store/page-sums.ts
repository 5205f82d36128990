import fs from "node:fs";
import { dirname } from "node:path";
import { isMediumError, systemErrorCode } from "../platform/directory.ts";
import {
  decodeSums,
  encodeIsOpen,
  encodeSums,
  encodeSumsRecord,
  IS_OPEN_AT,
  type SumsRecord,
  type WalMark,
} from "./page-sums-codec.ts";

/** Records are put together into one when they have grown larger than it, and than this. */
const APPENDED_BYTES_MIN = 64 * 1024;

/** What became of the sums on the way: `missing` and `foreign` also after a change of versions. */
export type SumsOrigin = "read" | "missing" | "foreign" | "damaged";

/**
 * The sums of all pages of a database file: in memory (a thousandth of the database), and in a file beside it. What is recorded is
 * appended, and durable when `record` returns.
 */
export class PageSums {
  readonly origin: SumsOrigin;
  readonly #path: string;
  /** By page, from 1 at position 0; 0 for what is not known. */
  #table: Uint32Array = new Uint32Array(0);
  #mark: WalMark | null = null;
  #isOpen = false;
  /** Where the next record goes; 0 while there is no file to append to. */
  #end = 0;
  /** Where the first record ends. */
  #firstEnd = 0;

  private constructor(path: string, origin: SumsOrigin) {
    this.#path = path;
    this.origin = origin;
  }

  /** Whatever became of the file: what it does not tell is not known. */
  static open(path: string): PageSums {
    const bytes = readWhole(path);
    const decoded = bytes === null ? ({ kind: "missing" } as const) : decodeSums(bytes);
    if (decoded.kind !== "sums") return new PageSums(path, decoded.kind);
    const sums = new PageSums(path, "read");
    for (const record of decoded.records) sums.#take(record);
    sums.#isOpen = decoded.isOpen;
    sums.#end = decoded.validBytes;
    sums.#firstEnd = decoded.firstBytes;
    return sums;
  }

  /** See `SumsRecord`. */
  get mark(): WalMark | null {
    return this.#mark;
  }

  /** See `DecodedSums`. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get pageCount(): number {
    return this.#table.length;
  }

  /** 0 if it is not known. */
  at(page: number): number {
    return this.#table[page - 1] ?? 0;
  }

  /** As they are now, in a copy. */
  toTable(): Uint32Array {
    return this.#table.slice();
  }

  /** Kept in memory only, until `save`. */
  learn(page: number, sum: number): void {
    if (page > this.#table.length) this.#resize(page);
    this.#table[page - 1] = sum;
  }

  /** Durable when it returns. */
  setOpen(isOpen: boolean): void {
    this.#isOpen = isOpen;
    if (this.#end === 0) this.save();
    else this.#write((file) => writeWhole(file, encodeIsOpen(isOpen), IS_OPEN_AT));
  }

  /** Nothing is known any more, durably. */
  forget(): void {
    this.#table = new Uint32Array(0);
    this.#mark = null;
    this.save();
  }

  /** Takes the record in, durably. A crash leaves it out, or in. */
  record(record: SumsRecord): void {
    this.#take(record);
    if (this.#end === 0) {
      this.save();
      return;
    }
    const bytes = encodeSumsRecord(record);
    this.#write((file) => {
      // What a crash has left of another record may be longer.
      fs.ftruncateSync(file, this.#end);
      writeWhole(file, bytes, this.#end);
    });
    this.#end += bytes.length;
  }

  /** Keeps the file at about twice the size that it needs. */
  maybeCompact(): void {
    const appended = this.#end - this.#firstEnd;
    if (appended > Math.max(APPENDED_BYTES_MIN, this.#firstEnd)) this.save();
  }

  /** Writes all anew, durably: a crash leaves the old file or the new one. */
  save(): void {
    const bytes = encodeSums(this.#table, { isOpen: this.#isOpen, mark: this.#mark });
    const temporary = `${this.#path}.new`;
    const file = fs.openSync(temporary, "w", 0o600);
    try {
      writeWhole(file, bytes, 0);
      fs.fdatasyncSync(file);
    } finally {
      fs.closeSync(file);
    }
    fs.renameSync(temporary, this.#path);
    syncDirectory(dirname(this.#path));
    this.#end = bytes.length;
    this.#firstEnd = bytes.length;
  }

  /** Durably, to the file that is there. */
  #write(write: (file: number) => void): void {
    const file = fs.openSync(this.#path, "r+");
    try {
      write(file);
      fs.fdatasyncSync(file);
    } finally {
      fs.closeSync(file);
    }
  }

  #take({ mark, pageCount, sums }: SumsRecord): void {
    this.#mark = mark;
    if (pageCount !== this.#table.length) this.#resize(pageCount);
    for (const [page, sum] of sums) this.#table[page - 1] = sum;
  }

  #resize(pageCount: number): void {
    const table = new Uint32Array(pageCount);
    table.set(this.#table.subarray(0, pageCount));
    this.#table = table;
  }
}

/** Null if there is none; nothing of one that the disk does not give. */
function readWhole(path: string): Buffer | null {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    if (isMediumError(error)) return Buffer.alloc(0);
    throw error;
  }
}

function writeWhole(file: number, bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(file, bytes, at, bytes.length - at, offset + at);
}

export function syncDirectory(path: string): void {
  const directory = fs.openSync(path, "r");
  try {
    fs.fsyncSync(directory);
  } finally {
    fs.closeSync(directory);
  }
}
