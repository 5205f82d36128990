import { invariant } from "../platform/invariant.ts";
import { type CommandRunner, TransactionLostError } from "./command-runner.ts";
import type { GuardedFile } from "./guarded-file.ts";
import { QUERY_MEMORY_MAX, QUERY_RESULT_LIMITS } from "./limits.ts";
import type { ObjectAnswer, ObjectQuestion } from "./object-question.ts";
import { ResultBudget } from "./result-budget.ts";
import { runStatement } from "./run-statement.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import type { StateFile } from "./state-file.ts";
import { StatementError, toErrorResult } from "./statement-error.ts";
import type { Rehearsed } from "./store.ts";
import type { CommandResult, SqlCommand, SqlStatement } from "./types.ts";

const LOSES_TRANSACTION =
  "The write was tried out, and was not carried out: an AUTOINCREMENT table has no rowid left, and because of a parameter in a SELECT every node would have to start its database anew. Write the value out.";

/** What was tried out would have written more than it may, and the databases must be opened anew. */
export class WroteTooMuchError extends Error {
  override readonly name = "WroteTooMuchError";
  readonly bytesMax: number;

  constructor(bytesMax: number, cause: unknown) {
    super(`a write that is tried out may write ${bytesMax} bytes`, { cause });
    this.bytesMax = bytesMax;
  }
}

/**
 * What is asked of the two databases, on everything that was applied. It leaves nothing in them, so it can be given up:
 * SQLite gets only so much memory for it.
 */
export class Questions {
  readonly #wasm: SqliteWasm;
  readonly #app: GuardedFile;
  readonly #state: StateFile;
  readonly #runner: CommandRunner;

  constructor(parts: {
    readonly wasm: SqliteWasm;
    readonly app: GuardedFile;
    readonly state: StateFile;
    readonly runner: CommandRunner;
  }) {
    this.#wasm = parts.wasm;
    this.#app = parts.app;
    this.#state = parts.state;
    this.#runner = parts.runner;
  }

  /** Statements that have been found to be read-only. Errors are results, but a result too large is thrown. */
  query(statements: readonly SqlStatement[]): CommandResult {
    return this.#withinMemory(() => this.#query(statements));
  }

  /** Of the objects; `revision` is the index of the last entry that was applied. */
  answer(question: ObjectQuestion, revision: number): ObjectAnswer {
    return this.#withinMemory(() => this.#state.answer(question, revision));
  }

  /**
   * Carries `command` out as an entry would be, to its end, and undoes it. It may write `bytesMax` meanwhile. Nothing may be uncommitted: a transaction of
   * its own that is rolled back takes along what a savepoint would leave, such as the planner's statistics and what
   * full-text tables keep in memory. Throws if the environment failed, or the memory of a query is not enough: then
   * the databases must be opened anew. Likewise `WroteTooMuchError`. Throws a `StatementError` `too-expensive` if every node would have to.
   */
  rehearse(command: SqlCommand, bytesMax: number): Rehearsed {
    const { file } = this.#app;
    invariant(!file.connection.inTransaction, "a rehearsal has a transaction of its own");
    if (this.#isAnswered(command)) return "answered";
    this.#withinMemory(() => this.#withinRoom(bytesMax, () => this.#rehearse(command)));
    file.maybeShrinkLog();
    return "tried-out";
  }

  #query(statements: readonly SqlStatement[]): CommandResult {
    const { connection } = this.#app.file;
    const isInTransaction = connection.inTransaction;
    const budget = new ResultBudget(QUERY_RESULT_LIMITS);
    const results = statements.map((statement) => {
      try {
        return runStatement(this.#app.file, statement, budget).result;
      } catch (error) {
        if (budget.isExceeded) throw error;
        return toErrorResult(error);
      }
    });
    invariant(
      connection.inTransaction === isInTransaction,
      "a query has ended the transaction of the applied entries",
    );
    return results;
  }

  /** True if the command's session lets it do nothing any more. To be asked what it would answer marks it as used: that is undone. */
  #isAnswered({ session, timeMs }: SqlCommand): boolean {
    if (session === null) return false;
    this.#app.file.begin();
    const isAnswered = this.#app.hasAnswer(session, timeMs);
    this.#app.file.run("ROLLBACK");
    return isAnswered;
  }

  #rehearse(command: SqlCommand): void {
    const { file } = this.#app;
    file.begin();
    const isLost = this.#losesTransaction(command);
    if (!isLost) file.run("ROLLBACK");
    if (this.#runner.hasChangedSchema) this.#runner.reloadSchema();
    if (isLost) throw new StatementError("too-expensive", LOSES_TRANSACTION);
  }

  #losesTransaction(command: SqlCommand): boolean {
    try {
      this.#runner.run(command);
      return false;
    } catch (error) {
      if (error instanceof TransactionLostError) return true;
      throw error;
    }
  }

  #withinRoom(bytesMax: number, run: () => void): void {
    const { writes } = this.#wasm;
    writes.limit(bytesMax);
    try {
      run();
    } catch (error) {
      throw writes.isExceeded ? new WroteTooMuchError(bytesMax, error) : error;
    } finally {
      writes.limit(Number.POSITIVE_INFINITY);
    }
  }

  #withinMemory<Answer>(ask: () => Answer): Answer {
    this.#wasm.setMemoryLimit(QUERY_MEMORY_MAX);
    try {
      return ask();
    } finally {
      this.#wasm.setMemoryLimit(Number.POSITIVE_INFINITY);
    }
  }
}
