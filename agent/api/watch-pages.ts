import { LruCache } from "../platform/lru-cache.ts";
import { encodeObjectChange } from "./encode-objects.ts";
import type { ObjectChange, ObjectFilter } from "./object-types.ts";

/** For all watches together. A page is seldom larger than what an entry may write, in base64: 2.8 MB. */
const PAGES_BYTES_MAX = 8 * 1024 * 1024;
const PAGES_MAX = 1024;
/** What a page takes besides its text. */
const PAGE_BYTES = 256;

/** Whole lines of a watch, one for each log entry. */
export interface WatchPage {
  readonly bytes: Uint8Array;
  /** The place in the log behind the last of them. */
  readonly end: number;
}

/**
 * The pages that watches are sending, one copy for all at the same place. Nobody owns them: who needs one that has gone reads the
 * changes again, and gets the same lines, for the log does not change.
 */
export class WatchPages {
  readonly #pages = new LruCache<WatchPage>({ countMax: PAGES_MAX, sizeMax: PAGES_BYTES_MAX });

  get(after: number, filter: ObjectFilter): WatchPage | undefined {
    return this.#pages.get(keyOf(after, filter));
  }

  /** The page of these changes, which end at `end`. */
  page(after: number, filter: ObjectFilter, changes: readonly ObjectChange[], end: number): WatchPage {
    const known = this.get(after, filter);
    if (known?.end === end) return known;
    const page = { bytes: Buffer.from(changes.map(encodeObjectChange).join("")), end };
    this.#pages.set(keyOf(after, filter), page, page.bytes.length + PAGE_BYTES);
    return page;
  }

  clear(): void {
    this.#pages.clear();
  }
}

function keyOf(after: number, { kind, namespace, name }: ObjectFilter): string {
  return JSON.stringify([after, kind, namespace, name]);
}
