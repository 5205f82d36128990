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
  /**
   * The watcher has seen everything up to this log index: it may resume from here, on any node. Without events, it only
   * tells so.
   */
  readonly revision: number;
  readonly events: readonly ObjectEvent[];
}

export interface ObjectWatchOptions {
  /** Only what changed after this revision; as of now if left out. */
  readonly from?: number;
  readonly filter: ObjectFilter;
  /** Ends the watch, without an error. */
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
   * Tells at once how far it is, then of every change after `from`, in log order, none left out and none twice, as this node applies them. Ends when `signal` is
   * aborted or the node stops. Throws `revision-compacted` if the history after `from` is not kept any more: list, and watch from
   * there. Throws `not-serving` if this node's copy is put out of use: go on through another one. A consumer may be as slow as it likes until then: it holds nothing but its place.
   */
  watch(options: ObjectWatchOptions): AsyncIterable<ObjectChange>;
}
