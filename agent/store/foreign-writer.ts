import fs from "node:fs";
import type { SqliteConnection } from "./sqlite-connection.ts";

/**
 * Whether a database file was written without its sums (see `PageGuard`). Two do that, and each leaves a trace which no flipped bit in
 * the file leaves:
 *
 *     another program   that looks into a database whose agent was cut off has SQLite move the write-ahead log into the file, and
 *                       remove it (an agent's own is there from its open to its clean close); or, cut off itself, leave an index of
 *                       the log (which an agent has in memory)
 *     an older version  adds 1 to the number of opens, which is then a number: an agent with sums makes it text
 *
 * The log's salts, and SQLite's change counter, would not do: a log that was moved and removed leaves neither in the file.
 */

/** So long that no flipped bit makes its type in the file that of a number. Also the write with which the write-ahead log begins. */
export const COUNT_OPEN = `
  INSERT INTO _trivet_meta VALUES ('opened', '1 with page sums')
  ON CONFLICT DO UPDATE SET value = (value + 1) || ' with page sums'`;

/** Of a database of ours, or an empty one, with what is in its write-ahead log. */
export function wasOpenedByOlderVersion(connection: SqliteConnection): boolean {
  const hasMeta = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '_trivet_meta'";
  if (connection.readValue(hasMeta) !== 1) return false;
  return typeof connection.readValue("SELECT value FROM _trivet_meta WHERE key = 'opened'") === "number";
}

/** `isOpen`: an agent has it open, or was cut off. */
export function wasOpenedByOthers(path: string, isOpen: boolean): boolean {
  return fs.existsSync(walIndexName(path)) || (isOpen && !fs.existsSync(`${path}-wal`));
}

/** Of use to those who have the database open only. */
export function removeTrace(path: string): void {
  fs.rmSync(walIndexName(path), { force: true });
}

function walIndexName(path: string): string {
  return `${path}-shm`;
}
