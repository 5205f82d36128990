/**
 * What SQLite reports (sqlite3.h, result codes; extended codes are on). `resultCode` is the extended one.
 *
 * Two kinds that must never be mixed up: an error that every replica gets (constraint, syntax, a value that is
 * too big) is a result; one that only this box gets (its disk, its memory) must stop the store.
 */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  readonly resultCode: number;

  constructor(resultCode: number, message: string) {
    super(message);
    this.resultCode = resultCode;
  }

  get primaryCode(): number {
    return this.resultCode & 0xff;
  }

  /** True if it says nothing about the statement, only about this box now. */
  get isEnvironmental(): boolean {
    return !this.isBrokenIndex && !DETERMINISTIC_CODES.has(this.primaryCode);
  }

  /**
   * A full-text index disagrees with itself or with its content. The user's SQL can bring that about (a `delete` of what
   * was never there), on every node alike; its words tell how far an index was read, which is not the same on all.
   */
  get isBrokenIndex(): boolean {
    return this.resultCode === SQLITE_CORRUPT_VTAB;
  }

  /** True if the file is not a sound database. */
  get isDamage(): boolean {
    if (this.isBrokenIndex) return false;
    return this.primaryCode === SQLITE_CORRUPT || this.primaryCode === SQLITE_NOTADB;
  }
}

export const SQLITE_OK = 0;
export const SQLITE_ERROR = 1;
export const SQLITE_NOMEM = 7;
export const SQLITE_CORRUPT = 11;
export const SQLITE_FULL = 13;
export const SQLITE_TOOBIG = 18;
export const SQLITE_CONSTRAINT = 19;
export const SQLITE_MISMATCH = 20;
export const SQLITE_RANGE = 25;
export const SQLITE_NOTADB = 26;
export const SQLITE_ROW = 100;
export const SQLITE_DONE = 101;
/** Extended. */
const SQLITE_CORRUPT_VTAB = 267;

/**
 * An allow-list: a code not known here stops the store, which is safe. SQLITE_FULL is among them because a full
 * disk shows as SQLITE_IOERR with this build; FULL is an AUTOINCREMENT table at its largest rowid.
 */
const DETERMINISTIC_CODES: ReadonlySet<number> = new Set([
  SQLITE_ERROR,
  SQLITE_FULL,
  SQLITE_TOOBIG,
  SQLITE_CONSTRAINT,
  SQLITE_MISMATCH,
  SQLITE_RANGE,
]);

/** The stable code of a deterministic error in a `StatementResult`. */
export function resultCodeName(error: SqliteError): string {
  if (error.isBrokenIndex) return "broken-index";
  switch (error.primaryCode) {
    case SQLITE_CONSTRAINT:
      return "constraint";
    case SQLITE_TOOBIG:
      return "value-too-large";
    case SQLITE_FULL:
      return "rowid-exhausted";
    default:
      return "sql-error";
  }
}
