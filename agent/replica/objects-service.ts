import type { ObjectEvent, ObjectKey, ObjectList, ObjectWrite, StoredObject } from "../store/objects.ts";
import type { SessionGuard } from "../store/types.ts";
import type { ReadLevel } from "./read-level.ts";

export interface ObjectReadOptions {
  readonly level: ReadLevel;
  /** From now; at most the configured maximum. */
  readonly timeoutMs: number;
}

export interface ObjectListOptions extends ObjectReadOptions {
  readonly kind: string;
  /** Of all namespaces if left out. */
  readonly namespace?: string;
  /** Only what follows this one. */
  readonly after?: { readonly namespace: string; readonly name: string };
  readonly limit: number;
}

export interface ObjectWriteOptions {
  readonly timeoutMs: number;
  /** Makes the write apply once, however often it is sent. */
  readonly session?: SessionGuard | null;
}

/** What a watcher wants to see; what is left out stands for all. */
export interface ObjectFilter {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** All events that one log entry made and the filter lets pass. */
export interface ObjectChange {
  /** Of the entry: who has seen this change may go on from here, on any node. */
  readonly revision: number;
  readonly events: readonly ObjectEvent[];
}

/** A page of what happened, in log order: none left out and none twice. */
export interface ObjectChanges {
  /** Each with all that the filter lets pass of one log entry; none of them is without events. */
  readonly changes: readonly ObjectChange[];
  /** Where to go on: everything up to this log index has been seen with them, and this node has applied it. */
  readonly revision: number;
}

export interface ObjectChangesOptions {
  /** Only what changed after this revision: one that `watchFrom` or the page before told. */
  readonly after: number;
  readonly filter: ObjectFilter;
  /** If there is nothing yet, how long to wait for it; then there are no changes, and `revision` tells how far this node is. */
  readonly waitMs: number;
  /** Ends the wait: then there are no changes, either. */
  readonly signal: AbortSignal;
}

/** The cluster's objects, from any node. */
export interface ObjectsService {
  /**
   * The object as this node sees it once it has caught up with what the level asks for; `revision` is the log index it was
   * read at. Rejects as `SqlService.query` does.
   */
  get(
    key: ObjectKey,
    options: ObjectReadOptions,
  ): Promise<{ readonly revision: number; readonly object: StoredObject | null }>;
  /** By namespace and name. Rejects as `get` does. A watch from its `revision` misses nothing. */
  list(options: ObjectListOptions): Promise<ObjectList>;
  /**
   * All writes or none, in one entry. Rejects with `conflict` if a precondition does not hold, `too-large` or
   * `invalid-object` if it may not become part of the log, and otherwise as `SqlService.execute` does.
   */
  write(
    writes: readonly ObjectWrite[],
    options: ObjectWriteOptions,
  ): Promise<{ readonly revision: number; readonly uids: readonly string[] }>;
  /**
   * Where a watch begins: at the newest that this node has applied, or at `from`. One that this node has not reached yet is waited for.
   * Rejects with `revision-unknown` if the cluster has not reached it, either: then it is another cluster's; and as `get` does, since the
   * leader must be asked then.
   */
  watchFrom(options: { readonly from?: number; readonly timeoutMs: number }): Promise<number>;
  /**
   * The changes that come next, as this node applies them. Nothing is kept between two calls, so whoever follows may be as slow as it
   * likes. Rejects with `revision-compacted` if the history after `after` is not kept any more: list, and go on from there; with
   * `not-serving` if this node's copy is put out of use, or `stopping`: go on through another one.
   */
  changes(options: ObjectChangesOptions): Promise<ObjectChanges>;
}
