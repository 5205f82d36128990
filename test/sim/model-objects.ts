import { EVENT_BYTES } from "../../agent/store/limits.ts";
import {
  bodyBytesOf,
  type ObjectEvent,
  type ObjectHistoryPage,
  type ObjectKey,
  type ObjectList,
  type ObjectWrite,
  type PageLimits,
  type StoredObject,
} from "../../agent/store/objects.ts";
import type { CommandResult, ObjectsCommand } from "../../agent/store/types.ts";

/** As the store's, which are larger: beyond either of them the oldest changes go. */
export interface HistoryLimits {
  readonly events: number;
  readonly bytes: number;
}

type Packed<Item> = Omit<Item, "body"> & { readonly body: string };
type Deletion = Extract<ObjectEvent, { readonly type: "delete" }>;
type PackedEvent =
  | Deletion
  | { readonly revision: number; readonly type: "put"; readonly object: Packed<StoredObject> };

export interface PackedObjects {
  readonly objects: readonly Packed<StoredObject>[];
  readonly history: readonly PackedEvent[];
  readonly compacted: number;
}

/** The cluster's objects and the newest of their changes, as the store promises them. */
export class ModelObjects {
  readonly #objects: Map<string, StoredObject>;
  #history: ObjectEvent[];
  #compacted: number;
  readonly #limits: HistoryLimits;

  constructor(limits: HistoryLimits, from: ModelObjects | null = null) {
    this.#limits = limits;
    this.#objects = new Map(from === null ? [] : from.#objects);
    this.#history = from === null ? [] : [...from.#history];
    this.#compacted = from === null ? 0 : from.#compacted;
  }

  /** All writes of the command or none. */
  write(
    { writes }: ObjectsCommand,
    index: number,
  ): { readonly result: CommandResult; readonly events: readonly ObjectEvent[] } {
    if (writes.some((write) => this.#isConflict(write))) {
      return {
        result: [{ kind: "error", code: "conflict", message: "the model says conflict" }],
        events: [],
      };
    }
    const events = writes.flatMap((write, nth) => this.#writeOne(write, index, nth));
    this.#history.push(...events);
    for (let oldest = this.#history[0]; this.#isTooLong && oldest !== undefined; oldest = this.#history[0]) {
      // The newest revision stays, whatever it weighs.
      if (oldest.revision === index) break;
      this.#compact(oldest.revision);
    }
    const uids = events.filter(({ type }) => type === "put").map(({ object }) => object.uid);
    return { result: [{ kind: "objects", revision: index, uids }], events };
  }

  get(key: ObjectKey): StoredObject | null {
    return this.#objects.get(nameOf(key)) ?? null;
  }

  list(kind: string): Pick<ObjectList, "objects" | "isComplete"> {
    const objects = [...this.#objects.values()].filter((object) => object.kind === kind);
    return { objects: objects.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)), isComplete: true };
  }

  /** All of the next revision, then as many whole ones as fit. */
  after(revision: number, { limit, bytesMax }: PageLimits): Omit<ObjectHistoryPage, "revision"> {
    const events: ObjectEvent[] = [];
    let isComplete = true;
    let bytes = 0;
    for (const next of revisionsOf(this.#history.filter((event) => event.revision > revision))) {
      if (events.length > 0) bytes += next.reduce((sum, event) => sum + bodyBytesOf(event) + EVENT_BYTES, 0);
      isComplete = events.length < limit && bytes <= bytesMax;
      if (!isComplete) break;
      events.push(...next);
    }
    return { events, isComplete, compactedRevision: this.#compacted };
  }

  /** Those of one revision: none if it is compacted. */
  at(revision: number): readonly ObjectEvent[] {
    return this.#history.filter((event) => event.revision === revision);
  }

  copy(): ModelObjects {
    return new ModelObjects(this.#limits, this);
  }

  pack(): PackedObjects {
    return {
      objects: [...this.#objects.values()].map(packBody),
      history: this.#history.map(packEvent),
      compacted: this.#compacted,
    };
  }

  static unpack({ objects, history, compacted }: PackedObjects, limits: HistoryLimits): ModelObjects {
    const unpacked = new ModelObjects(limits);
    for (const object of objects) unpacked.#objects.set(nameOf(object), unpackBody(object));
    unpacked.#history = history.map(unpackEvent);
    unpacked.#compacted = compacted;
    return unpacked;
  }

  get #isTooLong(): boolean {
    const { events, bytes } = this.#limits;
    const weight = this.#history.reduce((sum, event) => sum + bodyBytesOf(event), 0);
    return this.#history.length > events || weight > bytes;
  }

  #isConflict(write: ObjectWrite): boolean {
    if (write.kind === "compact" || write.revision === null) return false;
    const found = this.get(write.key)?.revision ?? 0;
    return write.revision === "any" ? found === 0 : found !== write.revision;
  }

  #writeOne(write: ObjectWrite, index: number, nth: number): readonly ObjectEvent[] {
    switch (write.kind) {
      case "put": {
        const before = this.get(write.key);
        const uid = before?.uid ?? `${index}/${nth}`;
        const createdRevision = before?.createdRevision ?? index;
        const { kind, namespace, name } = write.key;
        const body = Uint8Array.from(write.body);
        const object = { kind, namespace, name, uid, revision: index, createdRevision, body };
        this.#objects.set(nameOf(object), object);
        return [{ revision: index, type: "put", object }];
      }
      case "delete": {
        const before = this.get(write.key);
        if (before === null) return [];
        this.#objects.delete(nameOf(before));
        const { body: _, ...head } = before;
        return [{ revision: index, type: "delete", object: { ...head, revision: index } }];
      }
      case "require":
        return [];
      case "compact":
        this.#compact(Math.min(write.revision, index - 1));
        return [];
    }
  }

  #compact(revision: number): void {
    this.#compacted = Math.max(this.#compacted, revision);
    this.#history = this.#history.filter((event) => event.revision > this.#compacted);
  }
}

function revisionsOf(events: readonly ObjectEvent[]): readonly (readonly ObjectEvent[])[] {
  const revisions = new Map<number, ObjectEvent[]>();
  for (const event of events) {
    const known = revisions.get(event.revision);
    if (known === undefined) revisions.set(event.revision, [event]);
    else known.push(event);
  }
  return [...revisions.values()];
}

function nameOf({ kind, namespace, name }: ObjectKey): string {
  return JSON.stringify([kind, namespace, name]);
}

function packEvent(event: ObjectEvent): PackedEvent {
  return event.type === "put" ? { ...event, object: packBody(event.object) } : event;
}

function unpackEvent(event: PackedEvent): ObjectEvent {
  return event.type === "put" ? { ...event, object: unpackBody(event.object) } : event;
}

function packBody(object: StoredObject): Packed<StoredObject> {
  return { ...object, body: Buffer.from(object.body).toString("base64") };
}

function unpackBody(object: Packed<StoredObject>): StoredObject {
  return { ...object, body: Buffer.from(object.body, "base64") };
}
