import type { ObjectsService } from "../replica/objects-service.ts";
import { encodeObjectChange } from "./encode-objects.ts";
import type { ObjectFilter } from "./object-types.ts";
import type { WatchPage, WatchPages } from "./watch-pages.ts";

/** What a client that does not read keeps from going: the piece that it was sent last. */
export const WATCH_PIECE_BYTES = 64 * 1024;
/** A client that nothing was told for so long hears how far this node is: so a resume never goes back far, and a dead one shows. */
const PROGRESS_MS = 10_000;
const NEWLINE = 0x0a;

/**
 * One client's watch as text, piece by piece. All that it holds is its place: an entry of the log, and how many bytes of the lines
 * behind it were taken. So a client costs no memory while it does not read, however large its line is.
 */
export class ObjectWatch {
  readonly #objects: Pick<ObjectsService, "changes">;
  readonly #pages: WatchPages;
  readonly #filter: ObjectFilter;
  readonly #signal: AbortSignal;
  #after: number;
  /** Of the page behind `#after`. */
  #taken = 0;
  #isWithinLine = false;
  #hasBegun = false;

  constructor(parts: {
    readonly objects: Pick<ObjectsService, "changes">;
    readonly pages: WatchPages;
    readonly from: number;
    readonly filter: ObjectFilter;
    readonly signal: AbortSignal;
  }) {
    this.#objects = parts.objects;
    this.#pages = parts.pages;
    this.#after = parts.from;
    this.#filter = parts.filter;
    this.#signal = parts.signal;
  }

  /** True if the piece before ended in the middle of a line. */
  get isWithinLine(): boolean {
    return this.#isWithinLine;
  }

  /** Waits for what comes next; null once the signal is aborted. Rejects as `ObjectsService.changes` does. */
  async next(): Promise<Uint8Array | null> {
    while (!this.#signal.aborted) {
      const page = this.#pages.get(this.#after, this.#filter) ?? (await this.#read());
      if (page === null) continue;
      // A copy: a part of the page would keep all of it.
      const piece = Uint8Array.prototype.slice.call(page.bytes, this.#taken, this.#taken + WATCH_PIECE_BYTES);
      this.#taken += piece.length;
      if (this.#taken >= page.bytes.length) {
        // It may be another reading of the page, that ends earlier or later; but each begins with the same lines.
        this.#taken -= page.bytes.length;
        this.#after = page.end;
      }
      if (piece.length === 0) continue;
      this.#isWithinLine = piece.at(-1) !== NEWLINE;
      return piece;
    }
    return null;
  }

  /** Null if nothing may be sent any more. */
  async #read(): Promise<WatchPage | null> {
    // At once: whoever asks for what is not kept any more, or how far this node is, must not wait for the next change.
    const waitMs = this.#hasBegun ? PROGRESS_MS : 0;
    const after = this.#after;
    const { changes, revision } = await this.#objects.changes({
      ...{ after, waitMs },
      ...{ filter: this.#filter, signal: this.#signal },
    });
    if (this.#signal.aborted) return null;
    this.#hasBegun = true;
    if (changes.length > 0) return this.#pages.page(after, this.#filter, changes, revision);
    return { bytes: Buffer.from(encodeObjectChange({ revision, events: [] })), end: revision };
  }
}
