import fs from "node:fs";
import { dirname } from "node:path";
import { isMediumError, systemErrorCode } from "../platform/directory.ts";
import { invariant } from "../platform/invariant.ts";
import {
  type DecodedSums,
  decodeSums,
  encodeChanges,
  encodeIsOpen,
  encodeSums,
  IS_OPEN_AT,
  type SumsRecord,
  type WalMark,
} from "./page-sums-codec.ts";
import { SumTable } from "./sum-table.ts";

/** Changes are put into the table when they have grown larger than it, and than this. */
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
  #table = new SumTable();
  #mark: WalMark | null = null;
  #isOpen = false;
  /** Where the next record goes; 0 while there is no file to append to. */
  #end = 0;
  /** Where the table ends. */
  #tableEnd = 0;

  private constructor(path: string, origin: SumsOrigin) {
    this.#path = path;
    this.origin = origin;
  }

  /** Whatever became of the file: what it does not tell is not known. */
  static open(path: string): PageSums {
    const decoded = readSums(path);
    if (decoded.kind !== "sums") return new PageSums(path, decoded.kind);
    const sums = new PageSums(path, "read");
    sums.#table = decoded.table;
    sums.#mark = decoded.mark;
    sums.#isOpen = decoded.isOpen;
    sums.#end = decoded.end;
    sums.#tableEnd = decoded.tableEnd;
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
    return this.#table.pageCount;
  }

  /** 0 if it is not known. */
  at(page: number): number {
    return this.#table.at(page);
  }

  /** As they are now, in a copy: by page, from 1 at position 0; 0 for what is not known. */
  toTable(): Uint32Array<ArrayBuffer> {
    return this.#table.sums.slice();
  }

  /** Kept in memory only, until `save`. */
  learn(page: number, sum: number): void {
    if (page > this.#table.pageCount) this.#table.resize(page);
    this.#table.set(page, sum);
  }

  /** Durable when it returns. */
  setOpen(isOpen: boolean): void {
    this.#isOpen = isOpen;
    if (this.#end === 0) this.save();
    else this.#write((file) => writeWhole(file, encodeIsOpen(isOpen), IS_OPEN_AT));
  }

  /** Nothing is known any more, durably. */
  forget(): void {
    this.#table = new SumTable();
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
    const bytes = encodeChanges(record);
    this.#write((file) => {
      // What a crash has left of other changes may be longer.
      fs.ftruncateSync(file, this.#end);
      writeWhole(file, bytes, this.#end);
    });
    this.#end += bytes.length;
  }

  /** Keeps the file at about twice the size that it needs. */
  maybeCompact(): void {
    const appended = this.#end - this.#tableEnd;
    if (appended > Math.max(APPENDED_BYTES_MIN, this.#tableEnd)) this.save();
  }

  /** Writes all anew, durably: a crash leaves the old file or the new one. */
  save(): void {
    const temporary = `${this.#path}.new`;
    const file = fs.openSync(temporary, "w", 0o600);
    let end = 0;
    try {
      for (const piece of encodeSums(this.#table.sums, { isOpen: this.#isOpen, mark: this.#mark })) {
        writeWhole(file, piece, end);
        end += piece.byteLength;
      }
      fs.fdatasyncSync(file);
    } finally {
      fs.closeSync(file);
    }
    fs.renameSync(temporary, this.#path);
    syncDirectory(dirname(this.#path));
    this.#end = end;
    this.#tableEnd = end;
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
    this.#table.resize(pageCount);
    for (const [page, sum] of sums) this.#table.set(page, sum);
  }
}

/** What the disk does not give is damaged. */
function readSums(path: string): DecodedSums | { readonly kind: "missing" } {
  try {
    const file = fs.openSync(path, "r");
    try {
      const { size: bytes } = fs.fstatSync(file);
      return decodeSums({ bytes, read: (into, offset) => readWhole(file, into, offset) });
    } finally {
      fs.closeSync(file);
    }
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return { kind: "missing" };
    if (isMediumError(error)) return { kind: "damaged" };
    throw error;
  }
}

function readWhole(file: number, into: Uint8Array, offset: number): void {
  for (let at = 0; at < into.length; ) {
    const read = fs.readSync(file, into, at, into.length - at, offset + at);
    invariant(read > 0, "the sums of a database became shorter while they were read");
    at += read;
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
