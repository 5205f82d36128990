import type { Clock } from "../platform/clock.ts";
import type { TrivetError } from "../platform/trivet-error.ts";
import { EVENT_BYTES } from "../store/limits.ts";
import { bodyBytesOf, type ObjectEvent, type PageLimits } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import { Waiters } from "./waiters.ts";

/** What is kept for watchers that are nearly up to date; the others read the history in the store. */
export interface FeedLimits {
  readonly events: number;
  readonly bytes: number;
}

const FEED: FeedLimits = { events: 1024, bytes: 4 * 1024 * 1024 };

/** All events of one log entry. */
export interface ObjectRevision {
  readonly revision: number;
  readonly events: readonly ObjectEvent[];
}

/**
 * The newest changes of objects on this node, one copy for all who watch. Whoever falls behind what is kept here holds
 * nothing up and costs nothing: it goes on from the history, which holds the same events in the same order.
 */
export class ObjectFeed {
  readonly #store: Pick<Store, "applied" | "newest" | "onObjectEvents">;
  readonly #waiters: Waiters;
  readonly #stopListening: () => void;
  readonly #limits: FeedLimits;
  #recent: ObjectRevision[] = [];
  /** Every change after it, up to what this node has applied, is in `#recent`. */
  #since: number;
  /**
   * Up to here a file of the store may hold what it is given again after a crash. It tells of that from its history, and not of what is
   * compacted there; so before this, only the history knows whether something is left out.
   */
  #heldBefore: number;
  #events = 0;
  #bytes = 0;

  /** To be made while the store applies nothing. */
  constructor(
    store: Pick<Store, "applied" | "newest" | "onObjectEvents">,
    clock: Clock,
    limits: FeedLimits = FEED,
  ) {
    this.#store = store;
    this.#limits = limits;
    this.#since = store.applied.index;
    this.#heldBefore = store.newest.index;
    this.#waiters = new Waiters(clock);
    this.#stopListening = store.onObjectEvents((events) => this.#add(events));
  }

  /** Revision of the newest change that this feed has seen. */
  get newest(): number {
    return this.#recent.at(-1)?.revision ?? this.#since;
  }

  /**
   * What changed after `revision`, oldest first: the next entry, whatever it weighs, and as many more as fit. Null if the feed does
   * not reach back so far.
   */
  after(revision: number, { limit, bytesMax }: PageLimits): readonly ObjectRevision[] | null {
    if (revision < this.#since) return null;
    if (revision < this.#heldBefore && this.newest > revision) {
      // mark: object-feed: what was applied again is read from the history
      return null;
    }
    // From the end: most who ask are nearly there.
    const first = this.#recent.findLastIndex((change) => change.revision <= revision) + 1;
    let end = first + 1;
    let events = this.#recent[first]?.events.length ?? 0;
    for (let bytes = 0; end < this.#recent.length && events < limit; end++) {
      const next = this.#recent[end]?.events ?? [];
      bytes += bytesOf(next) + next.length * EVENT_BYTES;
      if (bytes > bytesMax) break;
      events += next.length;
    }
    return this.#recent.slice(first, end);
  }

  /** Resolves once there is something after `revision`, or `signal` is aborted; rejects with what `onTimeout` makes, or when the feed ends. */
  async untilAfter(
    revision: number,
    options: {
      readonly signal: AbortSignal;
      readonly timeoutMs: number;
      readonly onTimeout: () => TrivetError;
    },
  ): Promise<void> {
    const { signal, timeoutMs, onTimeout } = options;
    const wake = (): void => this.#waiters.changed();
    signal.addEventListener("abort", wake);
    try {
      const isMet = (): boolean => signal.aborted || this.newest > revision;
      await this.#waiters.until(isMet, timeoutMs, onTimeout);
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  /** A snapshot took the place of what the store held: what changed in between is in the history only. */
  restart(): void {
    // mark: object-feed: starts anew behind a snapshot
    this.#recent = [];
    this.#events = 0;
    this.#bytes = 0;
    this.#since = this.#store.applied.index;
    this.#heldBefore = this.#store.newest.index;
    this.#waiters.changed();
  }

  /** Everyone who waits gets `error`. */
  stop(error: TrivetError): void {
    this.#stopListening();
    this.#waiters.fail(error);
  }

  #add(events: readonly ObjectEvent[]): void {
    this.#recent.push(...byRevision(events));
    this.#events += events.length;
    this.#bytes += bytesOf(events);
    while (this.#events > this.#limits.events || this.#bytes > this.#limits.bytes) this.#dropOldest();
    this.#waiters.changed();
  }

  #dropOldest(): void {
    const oldest = this.#recent.shift();
    if (oldest === undefined) return;
    // mark: object-feed: drops its oldest changes
    this.#since = oldest.revision;
    this.#events -= oldest.events.length;
    this.#bytes -= bytesOf(oldest.events);
  }
}

/** Takes events in log order apart by their entries. */
export function byRevision(events: readonly ObjectEvent[]): readonly ObjectRevision[] {
  const changes: { readonly revision: number; readonly events: ObjectEvent[] }[] = [];
  for (const event of events) {
    const last = changes.at(-1);
    if (last?.revision === event.revision) last.events.push(event);
    else changes.push({ revision: event.revision, events: [event] });
  }
  return changes;
}

function bytesOf(events: readonly ObjectEvent[]): number {
  return events.reduce((sum, event) => sum + bodyBytesOf(event), 0);
}
