import { statSync } from "node:fs";
import { CHECKED_AT_OPEN_BYTES_MAX } from "./limits.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { SQLITE_CORRUPT, SqliteError } from "./sqlite-error.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import type { LogPosition } from "./types.ts";

/** How FTS5 begins or ends all of its own: of an index that disagrees with itself, see `SqliteError.isBrokenIndex`. */
const FULL_TEXT_COMPLAINT = /\bfts5\b/i;

/**
 * True if the last process that had the database was cut off (a clean end leaves no write-ahead log), or nothing is known of its
 * pages (`!isInformed`); and it is small enough to be checked before it is served.
 */
export function isCheckedAtOpen(path: string, isInformed: boolean): boolean {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const walBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  return (walBytes > 0 || !isInformed) && bytes + walBytes <= CHECKED_AT_OPEN_BYTES_MAX;
}

/** Throws a `SqliteError` that `isDamage` unless every page of the database is what it should be. Reads the whole file. */
export function requireSound(connection: SqliteConnection): void {
  // What the user's CHECK constraints say about rows is no question of damage.
  connection.run("PRAGMA ignore_check_constraints = ON");
  try {
    for (const complaint of quickCheck(connection)) {
      if (complaint === "ok" || FULL_TEXT_COMPLAINT.test(complaint)) continue;
      throw new SqliteError(SQLITE_CORRUPT, `database disk image is malformed: ${complaint}`);
    }
  } catch (error) {
    // Of the user's making: the check cannot be made, and nothing follows from that.
    if (!(error instanceof SqliteError) || error.isEnvironmental) throw error;
    // mark: store: a database could not be checked because of what the user has made in it
  } finally {
    connection.run("PRAGMA ignore_check_constraints = OFF");
  }
}

function* quickCheck(connection: SqliteConnection): Generator<string, void, undefined> {
  const check = connection.prepare("PRAGMA quick_check");
  try {
    while (check?.step() === true) yield String(check.readColumn(0));
  } finally {
    check?.finalize();
  }
}

/**
 * The position in a database of ours that is not in use, with all of it checked. Throws a `SqliteError`; null if the
 * database is sound and not one of ours.
 */
export function readCheckedPosition(wasm: SqliteWasm, path: string): LogPosition | null {
  const connection = new SqliteConnection(wasm, path, "read-only");
  try {
    requireSound(connection);
    const hasMeta = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_trivet_meta'";
    if (connection.readValue(hasMeta) !== 1) return null;
    const index = connection.readValue("SELECT value FROM _trivet_meta WHERE key = 'applied_index'");
    const term = connection.readValue("SELECT value FROM _trivet_meta WHERE key = 'applied_term'");
    return typeof index === "number" && typeof term === "number" ? { index, term } : null;
  } finally {
    connection.close();
  }
}
