/** The cluster's objects (design 5): small bodies with a name and a revision. Plain data, and the ports to read them. */

export interface ObjectKey {
  readonly kind: string;
  /** May be empty. */
  readonly namespace: string;
  readonly name: string;
}

/**
 * On the state before the command: null for none, 0 if there must be no such object, "any" if there must be one, else its
 * current revision.
 */
export type ObjectPrecondition = number | "any" | null;

/** `revision` is a precondition, but for `compact`. */
export type ObjectWrite =
  | {
      readonly kind: "put";
      readonly key: ObjectKey;
      readonly body: Uint8Array;
      readonly revision: ObjectPrecondition;
    }
  | { readonly kind: "delete"; readonly key: ObjectKey; readonly revision: ObjectPrecondition }
  /** Nothing but the precondition. */
  | {
      readonly kind: "require";
      readonly key: ObjectKey;
      readonly revision: Exclude<ObjectPrecondition, null>;
    }
  /** Drops the history up to `revision`, itself included. Objects stay. */
  | { readonly kind: "compact"; readonly revision: number };

/** All of an object but its body, which may be large. */
export interface ObjectHead extends ObjectKey {
  /** Of this object alone, for ever: another one of the same name has another. */
  readonly uid: string;
  /** Log index of its last change. */
  readonly revision: number;
  /** Log index of its first. */
  readonly createdRevision: number;
}

export interface StoredObject extends ObjectHead {
  readonly body: Uint8Array;
}

/**
 * `revision` is the log index of the change; those of one command share it, and of a deletion the object has it, too. That carries no
 * body: a small command could otherwise make an event of any size.
 */
export type ObjectEvent =
  | { readonly revision: number; readonly type: "put"; readonly object: StoredObject }
  | { readonly revision: number; readonly type: "delete"; readonly object: ObjectHead };

/** What an event weighs, apart from `EVENT_BYTES`. */
export function bodyBytesOf(event: ObjectEvent): number {
  return event.type === "put" ? event.object.body.byteLength : 0;
}

/** A part of `Store`: the cluster's objects. */
export interface ObjectStore {
  readonly objects: ObjectReads;
  /**
   * Calls `listener` with the events of entries that were applied together, whole entries in log order, before `apply` answers
   * them. Returns what ends that.
   */
  onObjectEvents(listener: (events: readonly ObjectEvent[]) => void): () => void;
}

export interface ObjectList {
  /** Everything up to this log index is seen, nothing after it. */
  readonly revision: number;
  /** By namespace, then by name, as their UTF-8 bytes compare. */
  readonly objects: readonly StoredObject[];
  /** False if there may be more after the last one. */
  readonly isComplete: boolean;
}

/** How much of the history is read at once. */
export interface PageLimits {
  /** About so many events. */
  readonly limit: number;
  /** What all but the first revision may weigh together: bodies, and `EVENT_BYTES` for each event. */
  readonly bytesMax: number;
}

export interface ObjectHistoryPage {
  readonly revision: number;
  /** Oldest first. Events of one revision stay together, so that the last one's revision is where to go on. */
  readonly events: readonly ObjectEvent[];
  /** False if there may be more after the last one. */
  readonly isComplete: boolean;
  /** Events up to it are gone: who asked for events after an earlier revision has missed some. */
  readonly compactedRevision: number;
}

/** Of everything applied so far. All reject with `query-timeout`, `store-busy` or `query-failed` as `Store.query` does. */
export interface ObjectReads {
  get(
    key: ObjectKey,
    options: { readonly timeoutMs: number },
  ): Promise<{ readonly revision: number; readonly object: StoredObject | null }>;
  /** Ends early, with `isComplete` false, where the answer would take too many bytes. */
  list(options: {
    readonly kind: string;
    /** Of all namespaces if left out. */
    readonly namespace?: string;
    /** Only what follows this one, which is in `namespace` if there is one. */
    readonly after?: { readonly namespace: string; readonly name: string };
    readonly limit: number;
    readonly timeoutMs: number;
  }): Promise<ObjectList>;
  /** The next revision, whatever it weighs, and as many more as fit: none is cut. */
  history(
    afterRevision: number,
    options: PageLimits & { readonly timeoutMs: number },
  ): Promise<ObjectHistoryPage>;
}
