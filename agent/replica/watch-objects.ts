import type { Clock } from "../platform/clock.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { ObjectEvent, ObjectReads } from "../store/objects.ts";
import { byRevision, type ObjectFeed, type ObjectRevision } from "./object-feed.ts";
import type { ObjectChange, ObjectFilter } from "./objects-service.ts";
import { RevisionCompactedError } from "./revision-compacted-error.ts";

/** A watcher that nothing was told for so long hears how far it is: so a resume never goes back far, and a dead one shows. */
const PROGRESS_MS = 10_000;
const PAGE_EVENTS = 256;
const PAGE_TIMEOUT_MS = 10_000;
/** The history could not be read now, because too much waits. */
const RETRY_MS = 100;

export interface WatchParts {
  readonly feed: ObjectFeed;
  readonly objects: Pick<ObjectReads, "history">;
  readonly clock: Clock;
  /** Throws if what the store holds must not be shown. */
  readonly assertServing: () => void;
}

/**
 * Follows the log from `revision`, exclusively. The place in the log is all the state there is:
 *
 *     the feed reaches back to it     take what is behind it from the feed, wait if that is nothing
 *     else                            take a page of the history from the store
 *
 * Both hold whole entries in log order, so moving from one to the other can neither leave out a change nor show it twice.
 */
export async function* watchObjects(
  parts: WatchParts,
  options: { readonly revision: number; readonly filter: ObjectFilter; readonly signal: AbortSignal },
): AsyncGenerator<ObjectChange, void, undefined> {
  const { feed, clock, assertServing } = parts;
  const { filter, signal } = options;
  let { revision } = options;
  // At once: whoever asks for what is not kept any more, or how far this node is, must not wait for the next change.
  let toldMs = clock.nowMs() - PROGRESS_MS;
  while (!signal.aborted) {
    assertServing();
    const dueMs = toldMs + PROGRESS_MS - clock.nowMs();
    const recent = dueMs > 0 ? feed.after(revision) : null;
    if (recent !== null && recent.length === 0) {
      await waitForMore(feed, revision, signal, dueMs);
      continue;
    }
    const page = recent === null ? await readPage(parts, revision) : { changes: recent, end: revision };
    for (const change of page.changes) {
      revision = change.revision;
      const events = change.events.filter((event) => passes(event, filter));
      if (events.length === 0) continue;
      yield { revision, events };
      toldMs = clock.nowMs();
      if (signal.aborted) return;
    }
    revision = Math.max(revision, page.end);
    if (clock.nowMs() - toldMs < PROGRESS_MS) continue;
    yield { revision, events: [] };
    toldMs = clock.nowMs();
  }
}

interface Page {
  readonly changes: readonly ObjectRevision[];
  /** Everything up to it has been seen with this page. */
  readonly end: number;
}

async function readPage({ objects, clock }: WatchParts, revision: number): Promise<Page> {
  for (;;) {
    try {
      const page = await objects.history(revision, { limit: PAGE_EVENTS, timeoutMs: PAGE_TIMEOUT_MS });
      if (revision < page.compactedRevision) {
        // mark: watch-objects: the history after the watcher's place is gone
        throw new RevisionCompactedError(revision, page.compactedRevision);
      }
      return { changes: byRevision(page.events), end: page.isComplete ? page.revision : revision };
    } catch (error) {
      if (!isTrivetError(error, "store-busy") && !isTrivetError(error, "query-timeout")) throw error;
      // mark: watch-objects: the history is read later, the store is busy
      await new Promise<void>((resolve) => clock.setTimer(RETRY_MS, resolve));
    }
  }
}

/** Also resolves when it is time to tell of progress. */
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

function passes({ object }: ObjectEvent, { kind, namespace, name }: ObjectFilter): boolean {
  if (kind !== undefined && object.kind !== kind) return false;
  if (namespace !== undefined && object.namespace !== namespace) return false;
  return name === undefined || object.name === name;
}
