import { TrivetError } from "../platform/trivet-error.ts";
import { REQUEST_BYTES_MAX, STATEMENTS_MAX } from "../store/limits.ts";
import { readSqlShape, type SqlShape } from "../store/sql-shape.ts";

/** Statements that are carried out together: one on its own, or all of a transaction. */
export interface SqlRequest {
  readonly statements: readonly string[];
  readonly isTransaction: boolean;
}

/**
 * Makes requests of the statements of a script, such as the output of `sqlite3 .dump`: what stands between BEGIN and COMMIT is one, since
 * a transaction cannot span requests.
 *
 *     outside -- BEGIN --> in a transaction -- COMMIT, END: one request; ROLLBACK: none --> outside
 */
export class SqlScript {
  readonly #onNote: (note: string) => void;
  /** Of the transaction that is open. */
  #collected: string[] | null = null;
  #bytes = 0;

  /** `onNote` is told what is passed over. */
  constructor(onNote: (note: string) => void) {
    this.#onNote = onNote;
  }

  /** The request that this statement completes; null if there is none yet. Throws `too-large` and `transaction-control`. */
  take(sql: string): SqlRequest | null {
    const shape = readSqlShape(sql);
    if (shape.isExplain) return this.#add(sql);
    switch (shape.verb) {
      case "BEGIN":
        if (this.#collected !== null) throw misplaced("BEGIN stands within a transaction.");
        this.#collected = [];
        this.#bytes = 0;
        return null;
      case "COMMIT":
      case "END":
        return this.#close(shape.verb);
      case "ROLLBACK":
        // ROLLBACK TO is of a savepoint, which the node refuses.
        if (shape.tokens.findIndex((at) => shape.tokens.text(at).toUpperCase() === "TO") >= 0)
          return this.#add(sql);
        this.#close(shape.verb);
        return null;
      default:
        if (!switchesForeignKeys(shape)) return this.#add(sql);
        this.#onNote("PRAGMA foreign_keys is passed over: foreign keys are always checked.");
        return null;
    }
  }

  /** To be called after the last statement. Throws `transaction-control` if a transaction is open. */
  end(): void {
    if (this.#collected === null) return;
    throw misplaced("The input ends within a transaction, without COMMIT: nothing of that was carried out.");
  }

  #add(sql: string): SqlRequest | null {
    if (this.#collected === null) return { statements: [sql], isTransaction: false };
    this.#collected.push(sql);
    this.#bytes += Buffer.byteLength(sql);
    if (this.#collected.length <= STATEMENTS_MAX && this.#bytes <= REQUEST_BYTES_MAX) return null;
    throw new TrivetError(
      "too-large",
      `A transaction is one request, which may have ${STATEMENTS_MAX} statements and ${REQUEST_BYTES_MAX} bytes of SQL. This one has more: nothing of it was carried out. Leave its BEGIN and COMMIT out, and its statements are carried out one by one; or make several transactions of it.`,
    );
  }

  #close(verb: string): SqlRequest | null {
    const statements = this.#collected;
    if (statements === null) throw misplaced(`${verb} stands outside of a transaction.`);
    this.#collected = null;
    return statements.length === 0 ? null : { statements, isTransaction: true };
  }
}

/** `sqlite3 .dump` begins with it, so that tables may come in any order. */
function switchesForeignKeys({ verb, tokens }: SqlShape): boolean {
  return verb === "PRAGMA" && tokens.text(1).toLowerCase() === "foreign_keys" && tokens.length > 2;
}

function misplaced(message: string): TrivetError {
  return new TrivetError("transaction-control", message);
}
