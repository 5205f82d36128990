import type { DatabaseFile } from "./database-file.ts";
import { EVENT_BYTES, HISTORY_BYTES_MAX, HISTORY_EVENTS_MAX, OBJECTS_READ_MAX } from "./limits.ts";
import { AFTER_OBJECT_COLUMNS, OBJECT_COLUMNS, REVISION_COLUMN, readHead, readObject } from "./object-row.ts";
import { bodyBytesOf, type ObjectEvent, type PageLimits } from "./objects.ts";
import type { PreparedStatement } from "./prepared-statement.ts";

export const HISTORY_SCHEMA = [
  "CREATE TABLE IF NOT EXISTS _trivet_history (revision INTEGER, nth INTEGER, is_delete INTEGER NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL, created INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (revision, nth)) STRICT, WITHOUT ROWID",
] as const;

const COMPACTED = "compacted_revision";
const NO_BODY = new Uint8Array();

/**
 * The changes of objects, oldest first, so that a watcher that was away can go on where it was. Bounded: the oldest
 * revisions go, as a command tells or as the bounds ask, and whole ones only.
 */
export class ObjectHistory {
  readonly #file: DatabaseFile;
  #compacted: number;
  #events = 0;
  #bytes = 0;

  constructor(file: DatabaseFile) {
    this.#file = file;
    this.#compacted = Number(file.readMeta(COMPACTED) ?? 0);
    file.read("SELECT count(*), ifnull(sum(length(body)), 0) FROM _trivet_history", [], (row) => {
      this.#events = Number(row.readColumn(0));
      this.#bytes = Number(row.readColumn(1));
      return false;
    });
  }

  /** Changes up to this one are gone. */
  get compactedRevision(): number {
    return this.#compacted;
  }

  /** The changes of one entry, the newest. */
  append(events: readonly ObjectEvent[]): void {
    for (const [nth, event] of events.entries()) {
      const { kind, namespace, name, uid, createdRevision } = event.object;
      this.#file.run("INSERT INTO _trivet_history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [
        ...[event.revision, nth, event.type === "delete" ? 1 : 0],
        ...[kind, namespace, name, uid, createdRevision],
        event.type === "put" ? event.object.body : NO_BODY,
      ]);
      this.#events += 1;
      this.#bytes += bodyBytesOf(event);
    }
    const newest = events.at(-1)?.revision;
    if (newest !== undefined) this.#keepBounds(newest);
  }

  /** Drops everything up to `revision`. */
  compact(revision: number): void {
    if (revision <= this.#compacted) return;
    // mark: store: history compacted by a command
    this.#drop(revision);
  }

  /** Those of one revision: none if it is compacted. */
  at(revision: number): readonly ObjectEvent[] {
    const events: ObjectEvent[] = [];
    this.#file.read(`${SELECT} WHERE revision = ? ORDER BY nth`, [revision], (row) => {
      events.push(readEvent(row));
      return true;
    });
    return events;
  }

  /**
   * Those after `revision`: all of the next one, whatever it weighs, then about `limit` in all, and no more than `bytesMax` beyond
   * the first revision. No revision is cut. `isComplete` is false if there may be more.
   */
  readAfter(
    revision: number,
    { limit, bytesMax }: PageLimits,
  ): { readonly events: readonly ObjectEvent[]; readonly isComplete: boolean } {
    const page = new HistoryPage({ limit: Math.min(limit, OBJECTS_READ_MAX), bytesMax });
    this.#file.read(`${SELECT} WHERE revision > ? ORDER BY revision, nth`, [revision], (row) =>
      page.add(row),
    );
    return { events: page.events, isComplete: page.isComplete };
  }

  /** Whatever it weighs, the newest revision stays: nobody could have seen it. */
  #keepBounds(newest: number): void {
    while (this.#events > HISTORY_EVENTS_MAX || this.#bytes > HISTORY_BYTES_MAX) {
      const oldest = Number(this.#file.connection.readValue("SELECT min(revision) FROM _trivet_history"));
      if (oldest === newest) return;
      // mark: store: history dropped at its bound
      this.#drop(oldest);
    }
  }

  #drop(revision: number): void {
    const dropped = "SELECT count(*), ifnull(sum(length(body)), 0) FROM _trivet_history WHERE revision <= ?";
    this.#file.read(dropped, [revision], (row) => {
      this.#events -= Number(row.readColumn(0));
      this.#bytes -= Number(row.readColumn(1));
      return false;
    });
    this.#file.run("DELETE FROM _trivet_history WHERE revision <= ?", [revision]);
    this.#compacted = revision;
    this.#file.writeMeta(COMPACTED, revision);
  }
}

const SELECT = `SELECT ${OBJECT_COLUMNS}, is_delete, length(body) FROM _trivet_history`;
const IS_DELETE = AFTER_OBJECT_COLUMNS;
const BODY_LENGTH = AFTER_OBJECT_COLUMNS + 1;

/** Gathers rows until they are enough. */
class HistoryPage {
  readonly #limits: PageLimits;
  readonly #events: ObjectEvent[] = [];
  /** Where the events of the last revision begin. */
  #lastStart = 0;
  /** Beyond the first revision. */
  #bytes = 0;
  #isComplete = true;

  constructor(limits: PageLimits) {
    this.#limits = limits;
  }

  get events(): readonly ObjectEvent[] {
    return this.#events;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** False if the row has no place any more. A body that has none is not read. */
  add(row: PreparedStatement): boolean {
    const revision = Number(row.readColumn(REVISION_COLUMN));
    if (this.#events.at(-1)?.revision !== revision) {
      if (this.#events.length >= this.#limits.limit) return this.#end();
      this.#lastStart = this.#events.length;
    }
    if (this.#lastStart > 0) {
      this.#bytes += Number(row.readColumn(BODY_LENGTH)) + EVENT_BYTES;
      if (this.#bytes > this.#limits.bytesMax) return this.#end();
    }
    this.#events.push(readEvent(row));
    return true;
  }

  #end(): false {
    // A revision that does not fit as a whole comes with the next page.
    if (this.#lastStart > 0 && this.#bytes > this.#limits.bytesMax) this.#events.length = this.#lastStart;
    this.#isComplete = false;
    return false;
  }
}

function readEvent(row: PreparedStatement): ObjectEvent {
  const revision = Number(row.readColumn(REVISION_COLUMN));
  return row.readColumn(IS_DELETE) === 1
    ? { revision, type: "delete", object: readHead(row) }
    : { revision, type: "put", object: readObject(row) };
}
