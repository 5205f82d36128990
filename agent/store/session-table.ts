import type { DatabaseFile } from "./database-file.ts";
import { SESSION_ANSWER_BYTES_MAX, SESSION_TTL_MS, SESSIONS_MAX } from "./limits.ts";
import { decodeResults } from "./result-codec.ts";
import { errorResult } from "./statement-error.ts";
import type { CommandResult, SessionGuard } from "./types.ts";

/**
 * `answer` is that of the command with `sequence`; NULL if it was too large to be kept, or if there was none yet. Without an
 * index, which each command would have to write: the table is read as a whole only when a session is opened.
 */
export const SESSION_SCHEMA = [
  "CREATE TABLE IF NOT EXISTS _trivet_sessions (id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, used_index INTEGER NOT NULL, used_ms INTEGER NOT NULL, answer BLOB) STRICT",
] as const;

/**
 * The client sessions that guard the commands of one file: the last sequence of each, and what it was answered. A function
 * of the log alone: the clock is that of its entries, and the order of use that of their positions. So it is the same on
 * every node at the same position, and ANALYZE, which counts its rows, finds the same.
 */
export class SessionTable {
  readonly #file: DatabaseFile;

  constructor(file: DatabaseFile) {
    this.#file = file;
  }

  /** Makes room first: the expired go, and the least recently used one if there are too many. */
  open(id: number, timeMs: number): void {
    this.#file.run("DELETE FROM _trivet_sessions WHERE used_ms < ?", [timeMs - SESSION_TTL_MS]);
    const count = Number(this.#file.connection.readValue("SELECT count(*) FROM _trivet_sessions"));
    if (count >= SESSIONS_MAX) {
      // mark: store: a session made room for a new one
      this.#file.run(
        "DELETE FROM _trivet_sessions WHERE id IN (SELECT id FROM _trivet_sessions ORDER BY used_index LIMIT ?)",
        [count - SESSIONS_MAX + 1],
      );
    }
    this.#file.run("INSERT INTO _trivet_sessions VALUES (?, 0, ?, ?, NULL)", [id, id, timeMs]);
  }

  /** The answer of a command that is not to be carried out; null if it is. */
  answerOf({ id, sequence }: SessionGuard, index: number, timeMs: number): CommandResult | null {
    const session = this.#read(id);
    if (session === null || session.usedMs < timeMs - SESSION_TTL_MS) {
      // mark: store: a command of a session that is gone
      return [
        errorResult(
          "session-expired",
          "The session is not known, or has expired: nothing was done now, and what an earlier try did is not known. Read before you repeat it in another one.",
        ),
      ];
    }
    if (sequence > session.sequence) return null;
    this.#file.run("UPDATE _trivet_sessions SET used_index = ?, used_ms = ? WHERE id = ?", [
      index,
      timeMs,
      id,
    ]);
    if (sequence < session.sequence) {
      // mark: store: a command older than the last of its session
      return [
        errorResult(
          "session-stale",
          `The session is at sequence ${session.sequence} already, ${sequence} comes too late: nothing was done now, and what an earlier try did is not known. Read before you repeat it with a higher one.`,
        ),
      ];
    }
    // mark: store: a command repeated in its session
    if (session.answer !== null) return decodeResults(session.answer);
    // mark: store: a command repeated whose answer was too large to be kept
    return [
      errorResult(
        "answer-too-large",
        "This was carried out when it came first, but its answer was too large to be kept. Read what it did.",
      ),
    ];
  }

  /** The command with this guard, the first of its sequence, was carried out and answered so. */
  keepAnswer({ id, sequence }: SessionGuard, index: number, timeMs: number, answer: Uint8Array): void {
    this.#file.run(
      "UPDATE _trivet_sessions SET sequence = ?, used_index = ?, used_ms = ?, answer = ? WHERE id = ?",
      [sequence, index, timeMs, answer.byteLength > SESSION_ANSWER_BYTES_MAX ? null : answer, id],
    );
  }

  #read(id: number): Session | null {
    let session: Session | null = null;
    const sql = "SELECT sequence, used_ms, answer FROM _trivet_sessions WHERE id = ?";
    this.#file.read(sql, [id], (row) => {
      const answer = row.readColumn(2);
      session = {
        sequence: Number(row.readColumn(0)),
        usedMs: Number(row.readColumn(1)),
        answer: answer instanceof Uint8Array ? answer : null,
      };
      return false;
    });
    return session;
  }
}

interface Session {
  readonly sequence: number;
  readonly usedMs: number;
  readonly answer: Uint8Array | null;
}
