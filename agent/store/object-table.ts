import type { DatabaseFile } from "./database-file.ts";
import type { Outcome } from "./guarded-file.ts";
import { OBJECTS_READ_BYTES_MAX, OBJECTS_READ_MAX } from "./limits.ts";
import type { ObjectHistory } from "./object-history.ts";
import type { ObjectRange } from "./object-question.ts";
import { HEAD_COLUMNS, OBJECT_COLUMNS, readHead, readObject } from "./object-row.ts";
import { createObjectUid } from "./object-uid.ts";
import type {
  ObjectEvent,
  ObjectHead,
  ObjectKey,
  ObjectPrecondition,
  ObjectWrite,
  StoredObject,
} from "./objects.ts";
import { errorResult } from "./statement-error.ts";
import type { ObjectsCommand } from "./types.ts";

export const OBJECT_SCHEMA = [
  "CREATE TABLE IF NOT EXISTS _trivet_objects (kind TEXT, namespace TEXT, name TEXT, uid TEXT NOT NULL, revision INTEGER NOT NULL, created INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, namespace, name)) STRICT, WITHOUT ROWID",
] as const;

const SELECT = `SELECT ${OBJECT_COLUMNS} FROM _trivet_objects`;
const SELECT_HEAD = `SELECT ${HEAD_COLUMNS} FROM _trivet_objects`;
const OF_KEY = "WHERE kind = ? AND namespace = ? AND name = ?";

/** The cluster's objects as they are now. Every change goes to their history too. */
export class ObjectTable {
  readonly #file: DatabaseFile;
  readonly #history: ObjectHistory;

  constructor(file: DatabaseFile, history: ObjectHistory) {
    this.#file = file;
    this.#history = history;
  }

  /** In the file's open transaction: all writes of the command, or none if a precondition does not hold. */
  write({ writes, timeMs }: ObjectsCommand, index: number): Outcome {
    for (const write of writes) {
      const conflict = this.#conflictOf(write);
      if (conflict !== null) return { results: [errorResult("conflict", conflict)] };
    }
    const events = writes.flatMap((write, nth) => this.#writeOne(write, { index, nth, timeMs }) ?? []);
    this.#history.append(events);
    const uids = events.filter(({ type }) => type === "put").map(({ object }) => object.uid);
    return { results: [{ kind: "objects", revision: index, uids }], events };
  }

  get({ kind, namespace, name }: ObjectKey): StoredObject | null {
    let object: StoredObject | null = null;
    this.#file.read(`${SELECT} ${OF_KEY}`, [kind, namespace, name], (row) => {
      object = readObject(row);
      return false;
    });
    return object;
  }

  /** In order; `isComplete` is false if there may be more. */
  list(
    { kind, namespace, after }: ObjectRange,
    limit: number,
  ): { readonly objects: readonly StoredObject[]; readonly isComplete: boolean } {
    const objects: StoredObject[] = [];
    let bytes = 0;
    let isComplete = true;
    const [where, parameters] =
      namespace === null
        ? ["(namespace, name) > (?, ?)", [after?.namespace ?? "", after?.name ?? ""]]
        : ["namespace = ? AND name > ?", [namespace, after?.name ?? ""]];
    const sql = `${SELECT} WHERE kind = ? AND ${where} ORDER BY namespace, name`;
    this.#file.read(sql, [kind, ...parameters], (row) => {
      isComplete = objects.length < Math.min(limit, OBJECTS_READ_MAX) && bytes < OBJECTS_READ_BYTES_MAX;
      if (!isComplete) return false;
      const object = readObject(row);
      objects.push(object);
      bytes += object.body.byteLength;
      return true;
    });
    return { objects, isComplete };
  }

  #head({ kind, namespace, name }: ObjectKey): ObjectHead | null {
    let head: ObjectHead | null = null;
    this.#file.read(`${SELECT_HEAD} ${OF_KEY}`, [kind, namespace, name], (row) => {
      head = readHead(row);
      return false;
    });
    return head;
  }

  /** Why the precondition of `write` does not hold; null if it does. */
  #conflictOf(write: ObjectWrite): string | null {
    if (write.kind === "compact" || write.revision === null) return null;
    const found = this.#head(write.key)?.revision ?? 0;
    if (write.revision === "any" ? found > 0 : found === write.revision) return null;
    // mark: store: a precondition of an object did not hold
    const { kind, namespace, name } = write.key;
    const wanted = wantedBy(write.revision);
    const state = found === 0 ? "does not exist" : `has revision ${found}`;
    return `Nothing was written: the object ${JSON.stringify([kind, namespace, name])} ${wanted} and ${state}. Read it again, then decide again.`;
  }

  #writeOne(write: ObjectWrite, at: EntryPosition): ObjectEvent | null {
    switch (write.kind) {
      case "put":
        return this.#put(write.key, write.body, at);
      case "delete":
        return this.#delete(write.key, at.index);
      case "require":
        return null;
      case "compact":
        // Never what this command writes: nobody could have seen it.
        this.#history.compact(Math.min(write.revision, at.index - 1));
        return null;
    }
  }

  #put({ kind, namespace, name }: ObjectKey, bytes: Uint8Array, at: EntryPosition): ObjectEvent {
    const before = this.#head({ kind, namespace, name });
    const uid = before?.uid ?? createObjectUid(at.index, at.nth, at.timeMs);
    const createdRevision = before?.createdRevision ?? at.index;
    // A copy: what was decoded is a part of the message that brought it, and would take all of it along.
    const body = Uint8Array.prototype.slice.call(bytes);
    this.#file.run("INSERT OR REPLACE INTO _trivet_objects VALUES (?, ?, ?, ?, ?, ?, ?)", [
      ...[kind, namespace, name, uid, at.index, createdRevision],
      body,
    ]);
    const object = { kind, namespace, name, uid, revision: at.index, createdRevision, body };
    return { revision: at.index, type: "put", object };
  }

  #delete(key: ObjectKey, index: number): ObjectEvent | null {
    const before = this.#head(key);
    if (before === null) return null;
    const { kind, namespace, name } = key;
    this.#file.run(`DELETE FROM _trivet_objects ${OF_KEY}`, [kind, namespace, name]);
    return { revision: index, type: "delete", object: { ...before, revision: index } };
  }
}

/** Of one write: its entry, and its place in it. */
interface EntryPosition {
  readonly index: number;
  readonly nth: number;
  readonly timeMs: number;
}

function wantedBy(revision: Exclude<ObjectPrecondition, null>): string {
  if (revision === "any") return "was to exist";
  return revision === 0 ? "was not to exist" : `was to have revision ${revision}`;
}
