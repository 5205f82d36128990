import type { Clock } from "../platform/clock.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { ObjectEvent, ObjectReads, PageLimits } from "../store/objects.ts";
import { byRevision, type ObjectFeed, type ObjectRevision } from "./object-feed.ts";
import type { ObjectChange, ObjectChanges, ObjectChangesOptions, ObjectFilter } from "./objects-service.ts";
import { RevisionCompactedError } from "./revision-compacted-error.ts";
import { Turnstile } from "./turnstile.ts";

/** Whoever follows asks for the next page when it has done with this one: many small ones wait in nobody's memory. */
const PAGE: PageLimits = { limit: 256, bytesMax: 64 * 1024 };
const PAGE_TIMEOUT_MS = 10_000;
/** Pages of the history that are read at once, for all who follow: one may be as large as an entry, and writes wait behind them. */
const READERS_MAX = 4;
/** The history could not be read now, because too much waits. */
const RETRY_MS = 100;
/** A revision that nothing comes after: who waits for that waits for the end of the time, of the watch or of the feed. */
const NEVER = Number.POSITIVE_INFINITY;

export interface ObjectChangesParts {
  readonly feed: ObjectFeed;
  readonly objects: Pick<ObjectReads, "history">;
  readonly clock: Clock;
  /** Of one answer; `PAGE` if left out. */
  readonly page?: PageLimits;
  /** Throws if what the store holds must not be shown. */
  readonly assertServing: () => void;
}

/** Some changes in log order, and how far they reach. */
interface Page {
  readonly changes: readonly ObjectRevision[];
  /** Everything up to it has been seen with this page. */
  readonly end: number;
}

/**
 * What follows a place in the log. That place is all the state there is:
 *
 *     the feed reaches back to it     take what is behind it from the feed, wait if that is nothing
 *     else                            take a page of the history from the store
 *
 * Both hold whole entries in log order, so moving from one to the other can neither leave out a change nor show it twice.
 */
export class ObjectChangesReader {
  readonly #parts: ObjectChangesParts;
  readonly #page: PageLimits;
  readonly #turnstile = new Turnstile(READERS_MAX);
  readonly #reading = new Map<number, Promise<Page | null>>();

  constructor(parts: ObjectChangesParts) {
    this.#parts = parts;
    this.#page = parts.page ?? PAGE;
  }

  /** See `ObjectsService.changes`. */
  async next({ after, filter, waitMs, signal }: ObjectChangesOptions): Promise<ObjectChanges> {
    const { feed, clock, assertServing } = this.#parts;
    const dueMs = clock.nowMs() + waitMs;
    let revision = after;
    while (!signal.aborted) {
      assertServing();
      const leftMs = dueMs - clock.nowMs();
      // The feed knows of changes only. How far this node is, and what is compacted, the store knows.
      const recent = leftMs > 0 ? feed.after(revision, this.#page) : null;
      if (recent?.length === 0) {
        await waitForMore(feed, revision, signal, leftMs);
        continue;
      }
      const page = recent === null ? await this.#readHistory(revision) : pageOf(recent, revision);
      if (page === null) {
        // Whoever has no time left asks again.
        if (leftMs <= 0) return { changes: [], revision };
        await waitForMore(feed, NEVER, signal, RETRY_MS);
        continue;
      }
      revision = page.end;
      const changes = page.changes.flatMap((change) => passing(change, filter));
      if (changes.length > 0 || leftMs <= 0) return { changes, revision };
    }
    return { changes: [], revision };
  }

  /** Null if the store has too much to do now. One reading serves all who are at the same place. */
  #readHistory(revision: number): Promise<Page | null> {
    const running = this.#reading.get(revision);
    if (running !== undefined) return running;
    const reading = this.#readPage(revision).finally(() => this.#reading.delete(revision));
    this.#reading.set(revision, reading);
    return reading;
  }

  async #readPage(revision: number): Promise<Page | null> {
    const { objects } = this.#parts;
    try {
      const read = (): ReturnType<ObjectReads["history"]> =>
        objects.history(revision, { ...this.#page, timeoutMs: PAGE_TIMEOUT_MS });
      const page = await this.#turnstile.run(read);
      if (revision < page.compactedRevision) {
        // mark: object-changes: the history after the watcher's place is gone
        throw new RevisionCompactedError(revision, page.compactedRevision);
      }
      const changes = byRevision(page.events);
      if (page.isComplete) return { changes, end: Math.max(revision, page.revision) };
      // mark: object-changes: the history goes on behind a page
      return pageOf(changes, revision);
    } catch (error) {
      if (!isTrivetError(error, "store-busy") && !isTrivetError(error, "query-timeout")) throw error;
      // mark: object-changes: the history is read later, the store is busy
      return null;
    }
  }
}

function pageOf(changes: readonly ObjectRevision[], revision: number): Page {
  return { changes, end: changes.at(-1)?.revision ?? revision };
}

/** Also resolves when the time is over. */
async function waitForMore(
  feed: ObjectFeed,
  revision: number,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<void> {
  const progress = new TrivetError("progress-due", "Nothing changed for a while.");
  try {
    await feed.untilAfter(revision, { signal, timeoutMs, onTimeout: () => progress });
  } catch (error) {
    if (error !== progress) throw error;
  }
}

function passing({ revision, events }: ObjectRevision, filter: ObjectFilter): readonly ObjectChange[] {
  const passed = events.filter((event) => passes(event, filter));
  return passed.length === 0 ? [] : [{ revision, events: passed }];
}

function passes({ object }: ObjectEvent, { kind, namespace, name }: ObjectFilter): boolean {
  if (kind !== undefined && object.kind !== kind) return false;
  if (namespace !== undefined && object.namespace !== namespace) return false;
  return name === undefined || object.name === name;
}
