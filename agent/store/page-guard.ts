import fs from "node:fs";
import { basename, dirname } from "node:path";
import { isMediumError } from "../platform/directory.ts";
import { removeTrace, wasOpenedByOthers } from "./foreign-writer.ts";
import { PAGE_BYTES, SCRUB_SLICE_PAGES } from "./limits.ts";
import { PageSums, syncDirectory } from "./page-sums.ts";
import { sumOf } from "./page-sums-codec.ts";
import { isOfWal, readWal, type WalContent } from "./read-wal.ts";
import { sumsName } from "./snapshot.ts";

/** What was found out about a database file. */
export interface PageFinding {
  /** Else it is only to be said. */
  readonly isDamage: boolean;
  readonly text: string;
}

/** What a look at some pages of a database file came to. */
export interface ScrubbedSlice {
  /** The next page to look at; null at the end. */
  readonly next: number | null;
  /** Of the whole file, as it is now. */
  readonly pages: number;
}

/**
 * Notices what changes in a database file without SQLite: it knows a sum of each page, and looks. A file in WAL mode changes in a
 * checkpoint only, and what that will write stands in the write-ahead log before:
 *
 *     prepare   reads the log (which has checksums of its own), looks once more at the pages that will go, makes the log durable,
 *               and then the new sums, with a mark of the log
 *     SQLite    copies the pages, makes the file durable, empties the log
 *
 * After a crash in between, the log is still there as the mark tells: its pages are read from it until another checkpoint has moved
 * them all. Had the log lost some of them since, the file would be of two times: then the sums stay as they are, and some page differs
 * from its own.
 *
 * So it is everywhere: a page that was found wrong keeps its sum, and is found again, whatever is written over it.
 *
 * Who opens the file without this guard (see foreign-writer.ts) makes the sums worthless, not the file: then they are made anew.
 */
export class PageGuard {
  readonly #path: string;
  readonly #walPath: string;
  readonly #sums: PageSums;
  /** Pages that were told of. */
  readonly #told = new Set<number>();
  #hasToldOfOthers = false;
  #findings: PageFinding[] = [];
  #hasLearned = false;

  /** Of a database that nobody has open yet. */
  constructor(path: string) {
    this.#path = path;
    this.#walPath = `${path}-wal`;
    this.#sums = PageSums.open(sumsName(path));
    const { origin } = this.#sums;
    if (origin === "damaged") this.#find(true, "the sums of its pages cannot be read");
    else if (origin !== "read" && this.#filePages() > 1)
      this.#findAnew(`the sums of its pages are ${origin}: they`);
    this.#maybeForget();
    removeTrace(path);
    // Taken away without its sums, as by a quarantine that was cut off: another database begins here.
    if (this.isInformed && !fs.existsSync(path)) this.#sums.forget();
  }

  /** False if nothing is known of what the file should be. */
  get isInformed(): boolean {
    return this.#sums.pageCount > 0;
  }

  /** Somebody else has written the file as it is. */
  forget(who: string): void {
    if (!this.isInformed) return;
    // mark: store: a database was written without its sums
    this.#sums.forget();
    if (!this.#hasToldOfOthers) this.#findAnew(`${who} has opened it: the sums of its pages`);
    this.#hasToldOfOthers = true;
  }

  /** Goes after the write-ahead log was opened, before the first write. */
  enter(): void {
    syncDirectory(dirname(this.#path));
    this.#sums.setOpen(true);
  }

  /** Goes before the write-ahead log, which has been moved, is removed. */
  leave(): void {
    this.#maybeForget();
    this.#sums.setOpen(false);
  }

  /** True if a checkpoint has not come to its end: then another one goes before all else. */
  get isCut(): boolean {
    const { mark } = this.#sums;
    return mark !== null && isOfWal(this.#walPath, mark);
  }

  /** See `PageSums.toTable`. */
  get table(): Uint32Array<ArrayBuffer> {
    return this.#sums.toTable();
  }

  /** What was found since the last call, each page once. */
  takeFindings(): readonly PageFinding[] {
    const findings = this.#findings;
    this.#findings = [];
    return findings;
  }

  /** Goes before a checkpoint, which moves the `frames` frames of the write-ahead log, all of them committed. */
  prepare(frames: number): void {
    // What it writes is not what the log of that name says.
    if (this.#maybeForget()) return;
    const { mark } = this.#sums;
    const wal = readWal(this.#walPath, frames, mark);
    const { end, pageCount } = wal;
    const readable = end?.frames ?? 0;
    if (readable < frames)
      this.#find(true, `its write-ahead log of ${frames} frames is not what was written after ${readable}`);
    if (end === null) return;
    syncFile(this.#walPath);
    this.#sums.record({ mark: end, pageCount, sums: this.#newSums(wal) });
  }

  /** Goes after a checkpoint. */
  finish(): void {
    this.#sums.maybeCompact();
  }

  /**
   * Looks at the pages from `page` on, some at a time: that takes milliseconds. Learns the sums of pages that it does not know. What the kernel has in its memory is not read from the disk.
   */
  scrub(page: number): ScrubbedSlice {
    const last = Math.max(this.#sums.pageCount, this.#filePages());
    const next = Math.min(page + SCRUB_SLICE_PAGES, last + 1);
    const pages = Array.from({ length: Math.max(0, next - page) }, (_, nth) => page + nth);
    this.#readPages(pages, (number, bytes) => {
      if (this.#sums.at(number) !== 0 || bytes === null) this.#compare(number, bytes && sumOf(bytes));
      else {
        this.#sums.learn(number, sumOf(bytes));
        this.#hasLearned = true;
      }
    });
    if (next <= last) return { next, pages: last };
    if (this.#hasLearned) this.#sums.save();
    this.#hasLearned = false;
    return { next: null, pages: last };
  }

  /** Those that the checkpoint is to bring about. What was read of a page to be changed has to have been right. */
  #newSums({ sums, atMark }: WalContent): ReadonlyMap<number, number> {
    const isDoneAgain = this.isCut;
    if (isDoneAgain && atMark === null) {
      this.#find(true, "its write-ahead log has lost what was being moved into it");
      return new Map();
    }
    const kept = new Map(sums);
    const look = (page: number, sum: number | null): void => {
      if (!this.#compare(page, sum)) kept.delete(page);
    };
    const known = [...sums.keys()].filter((page) => this.#sums.at(page) !== 0);
    // mark: store: a checkpoint was cut off and is done again
    // What the file holds of these is of before the first try, of after it, or torn: they were read from the log.
    const moved = isDoneAgain ? (atMark ?? new Map()) : new Map<number, number>();
    for (const page of known) if (moved.has(page)) look(page, moved.get(page) ?? null);
    this.#readPages(
      known.filter((page) => !moved.has(page)),
      (page, bytes) => look(page, bytes && sumOf(bytes)),
    );
    return kept;
  }

  /** False if the page is not what it should be. */
  #compare(page: number, sum: number | null): boolean {
    if (sum === this.#sums.at(page) || this.#maybeForget()) return true;
    // mark: store: a page is not what was written
    if (!this.#told.has(page))
      this.#find(true, `page ${page} of ${this.#sums.pageCount} is not what was written`);
    this.#told.add(page);
    return false;
  }

  /** True if another program has the file open, or had: what it holds is right, and not known. */
  #maybeForget(): boolean {
    const isForeign = wasOpenedByOthers(this.#path, this.#sums.isOpen);
    if (isForeign) this.forget("another program");
    return isForeign;
  }

  #findAnew(text: string): void {
    // mark: store: the sums of a database's pages are made anew
    this.#find(false, `${text} are made anew of what stands there now`);
  }

  #find(isDamage: boolean, text: string): void {
    this.#findings.push({ isDamage, text: `${basename(this.#path)}: ${text}` });
  }

  #filePages(): number {
    const bytes = fs.statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
    return Math.floor(bytes / PAGE_BYTES);
  }

  /** Null for one that is not there, or that the disk does not give. */
  #readPages(pages: readonly number[], see: (page: number, bytes: Uint8Array | null) => void): void {
    const file = fs.openSync(this.#path, "r");
    const bytes = Buffer.allocUnsafe(PAGE_BYTES);
    try {
      for (const page of pages.toSorted((a, b) => a - b))
        see(page, readPage(file, page, bytes) ? bytes : null);
    } finally {
      fs.closeSync(file);
    }
  }
}

function readPage(file: number, page: number, bytes: Buffer): boolean {
  try {
    return fs.readSync(file, bytes, 0, PAGE_BYTES, (page - 1) * PAGE_BYTES) === PAGE_BYTES;
  } catch (error) {
    if (!isMediumError(error)) throw error;
    return false;
  }
}

/** Also what others have written to it. */
function syncFile(path: string): void {
  const file = fs.openSync(path, "r");
  try {
    fs.fdatasyncSync(file);
  } finally {
    fs.closeSync(file);
  }
}
