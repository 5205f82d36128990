/** What goes into the replicated state machine and what comes out of it. Plain data. */

/** A value as SQLite stores it. Integers beyond 2^53 are BigInt. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** By position (`?`) or by name without its prefix (`:a`, `@a` and `$a` are all `a`). */
export type SqlParameters = readonly SqlValue[] | Readonly<Record<string, SqlValue>>;

export interface SqlStatement {
  readonly sql: string;
  readonly parameters: SqlParameters;
}

/** One Raft command: the user's SQL, with the inputs that make it give the same result on every node. */
export interface SqlCommand {
  readonly kind: "sql";
  /** The proposing leader's wall clock, milliseconds since 1970; never goes back within one log. */
  readonly timeMs: number;
  /** 16 bytes: random() and randomblob() are drawn from them. */
  readonly seed: Uint8Array;
  /** All or nothing; otherwise each statement stands for itself. */
  readonly transaction: boolean;
  readonly statements: readonly SqlStatement[];
}

/** Grows with later parts (cluster objects, sessions). */
export type Command = SqlCommand;

export type StatementResult =
  | {
      readonly kind: "rows";
      readonly columns: readonly string[];
      /** Storage class of the first value of each column that is not NULL: integer, real, text, blob; "" if all are. */
      readonly types: readonly string[];
      readonly values: readonly (readonly SqlValue[])[];
    }
  | { readonly kind: "changed"; readonly lastInsertId: number | bigint; readonly rowsAffected: number }
  | { readonly kind: "error"; readonly code: string; readonly message: string };

/** A position in the Raft log. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** A committed entry as the store takes it; `command` is null where only the position moves. */
export interface StoreEntry extends LogPosition {
  readonly command: Uint8Array | null;
}

/** What one command answered, a result per statement; the same on every node. */
export type CommandResult = readonly StatementResult[];

export interface RehearsalOptions {
  /** As of the command. */
  readonly transaction: boolean;
  /** From the call to the end, waiting behind other work included. */
  readonly timeoutMs: number;
  /** As of the command. */
  readonly timeMs: number;
  /** As of the command; some 16 bytes if there is none yet. */
  readonly seed?: Uint8Array;
}

/**
 * The replicated state machine. Entries come in log order without a gap, each once. A rejected promise with
 * code `store-failed` means that the environment failed (disk, memory): nothing after it may be applied, the
 * agent must stop.
 */
export interface Store {
  /** The last entry that has been applied. */
  readonly applied: LogPosition;
  /**
   * True if a write may run what its text does not show, so that `isBounded` of its check says nothing: there is a
   * trigger, or a full-text table over another table. As of the last entry that was answered.
   */
  readonly hasHiddenWork: boolean;
  /**
   * Applies in order; resolves with one result per entry: empty where `command` is null, and where the file has the
   * entry already (after a crash). A transaction that failed ends with its first error, the statements after it
   * have no result. Rejects with `store-busy` if too much waits.
   */
  apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]>;
  /**
   * Read-only statements on everything applied so far; others get an error result. Rejects with `query-timeout`
   * after `timeoutMs`, with `result-too-large` beyond the row or byte limit, with `too-large` if the request itself
   * is, with `store-busy` if too many queries wait, with `query-failed` if this node cannot carry it out (memory).
   */
  query(statements: readonly SqlStatement[], options: { readonly timeoutMs: number }): Promise<CommandResult>;
  /**
   * Tries a command out on everything applied so far: runs it as `apply` would, with its time and chance, and undoes
   * it. Resolves whatever its results are. An entry in the log is applied by every node and cannot be stopped, so a
   * command whose work is not bounded should have been rehearsed before it is proposed; entries that come between may
   * still make it dearer.
   *
   * Rejects with `too-expensive` if it does not end within `timeoutMs`, with `query-failed` if it takes more memory
   * than a query may have, with `store-busy` if it could not begin in time or too many queries wait, and with the code
   * of `checkStatement` for a statement that may not become part of the log.
   */
  rehearse(statements: readonly SqlStatement[], options: RehearsalOptions): Promise<void>;
  /** Commits what is applied and makes it durable in both files; resolves with the durable position. */
  checkpoint(): Promise<LogPosition>;
  /**
   * After all that waits: commits, closes the files. What is not done within `CLOSE_TIMEOUT_MS` is ended and rejected
   * with `store-closed`; the log has its entries. Idempotent. Everything else is then rejected with `store-closed`.
   */
  close(): Promise<void>;
}
