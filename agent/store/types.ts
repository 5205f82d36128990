/** What goes into the replicated state machine and what comes out of it. Plain data. */

import type { ObjectWrite } from "./objects.ts";

/** A value as SQLite stores it. Integers beyond 2^53 are BigInt. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** By position (`?`) or by name without its prefix (`:a`, `@a` and `$a` are all `a`). */
export type SqlParameters = readonly SqlValue[] | Readonly<Record<string, SqlValue>>;

export interface SqlStatement {
  readonly sql: string;
  readonly parameters: SqlParameters;
}

/**
 * Makes a command of a client happen once, however often it is sent: the first command of a session with this sequence
 * is carried out, and its repetitions get the same answer. Sequences of a session grow, with gaps or without, from 1.
 */
export interface SessionGuard {
  /** As `open-session` answered it. */
  readonly id: number;
  readonly sequence: number;
}

/** The user's SQL, with the inputs that make it give the same result on every node. */
export interface SqlCommand {
  readonly kind: "sql";
  /** The proposing leader's wall clock, milliseconds since 1970; never goes back within one log. */
  readonly timeMs: number;
  readonly session: SessionGuard | null;
  /** 16 bytes: random() and randomblob() are drawn from them. */
  readonly seed: Uint8Array;
  /** All or nothing; otherwise each statement stands for itself. */
  readonly transaction: boolean;
  readonly statements: readonly SqlStatement[];
}

/** Begins a client session. Its id is the index of the entry. */
export interface OpenSessionCommand {
  readonly kind: "open-session";
  /** As in `SqlCommand`. */
  readonly timeMs: number;
}

/** Writes cluster objects: all or none. */
export interface ObjectsCommand {
  readonly kind: "objects";
  /** As in `SqlCommand`. */
  readonly timeMs: number;
  readonly session: SessionGuard | null;
  /** `checkObjectWrites` says what may become part of the log. */
  readonly writes: readonly ObjectWrite[];
}

/** One Raft command. */
export type Command = SqlCommand | OpenSessionCommand | ObjectsCommand;

export type StatementResult =
  | {
      readonly kind: "rows";
      readonly columns: readonly string[];
      /** Storage class of the first value of each column that is not NULL: integer, real, text, blob; "" if all are. */
      readonly types: readonly string[];
      readonly values: readonly (readonly SqlValue[])[];
    }
  | { readonly kind: "changed"; readonly lastInsertId: number | bigint; readonly rowsAffected: number }
  /** Of `open-session`. */
  | { readonly kind: "session"; readonly id: number }
  /** Of `objects`: the revision of what it wrote, and the uid of the object of each put, in their order. */
  | { readonly kind: "objects"; readonly revision: number; readonly uids: readonly string[] }
  /**
   * Of objects also `conflict` (a precondition does not hold, nothing is written), of a session `session-expired` (it is
   * not known, or no more), `session-stale` (a later sequence was there before) and `answer-too-large` (it was carried out
   * before, but the answer was not kept). These answer a whole command, whatever its number of statements.
   */
  | { readonly kind: "error"; readonly code: string; readonly message: string };

/** A position in the Raft log. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** A committed entry as the store takes it; `command` is null where only the position moves. */
export interface StoreEntry extends LogPosition {
  readonly command: Uint8Array | null;
  /** The cluster's membership from here on, in an encoding that is the caller's. */
  readonly configuration?: Uint8Array;
}

/**
 * What one command answered, the same on every node: a result per statement, or a single one that answers the whole
 * command (a session's refusal, `session`, `objects`).
 */
export type CommandResult = readonly StatementResult[];

/** The running hash of all results up to `index`: equal on all nodes at an equal index, or they have diverged. */
export interface ResultDigest {
  readonly index: number;
  /** SHA-256. */
  readonly hash: Uint8Array;
}

/** The membership that came with the entry at `index`. */
export interface StoredConfiguration {
  readonly index: number;
  readonly bytes: Uint8Array;
}
