import { statSync } from "node:fs";
import { CHECKED_AT_OPEN_BYTES_MAX } from "./limits.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { SQLITE_CORRUPT, SqliteError } from "./sqlite-error.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import type { LogPosition } from "./types.ts";

/** A full-text index that disagrees with itself, which is the user's doing and no damage: see `SqliteError.isDamage`. */
const FULL_TEXT_COMPLAINT = /inverted index for FTS\d table/;

/**
 * True if the last process that had the database was cut off (a clean end leaves no write-ahead log) and it is small
 * enough to be checked before it is served.
 */
export function isCheckedAtOpen(path: string): boolean {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const walBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  return walBytes > 0 && bytes + walBytes <= CHECKED_AT_OPEN_BYTES_MAX;
}

/** Throws a `SqliteError` that `isDamage` unless every page of the database is what it should be. Reads the whole file. */
export function requireSound(connection: SqliteConnection): void {
  // What the user's CHECK constraints say about rows is no question of damage either.
  connection.run("PRAGMA ignore_check_constraints = ON");
  const check = connection.prepare("PRAGMA quick_check");
  try {
    while (check?.step() === true) {
      const line = String(check.readColumn(0));
      if (line === "ok" || FULL_TEXT_COMPLAINT.test(line)) continue;
      throw new SqliteError(SQLITE_CORRUPT, `database disk image is malformed: ${line}`);
    }
  } finally {
    check?.finalize();
    connection.run("PRAGMA ignore_check_constraints = OFF");
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
