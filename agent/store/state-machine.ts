import { join } from "node:path";
import { invariant } from "../platform/invariant.ts";
import { decodeCommand } from "./command.ts";
import {
  CommandRunner,
  type ForegoneResults,
  type RanCommand,
  TransactionLostError,
} from "./command-runner.ts";
import { DatabaseFile } from "./database-file.ts";
import { findEngineInternals } from "./engine-internals.ts";
import { hasHiddenWork } from "./hidden-work.ts";
import { COMMIT_BYTES_MAX, COMMIT_ENTRIES_MAX, QUERY_MEMORY_MAX, QUERY_RESULT_LIMITS } from "./limits.ts";
import { ResultBudget } from "./result-budget.ts";
import { runStatement } from "./run-statement.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import { toErrorResult } from "./statement-error.ts";
import type {
  CommandResult,
  LogPosition,
  SqlCommand,
  SqlStatement,
  StatementResult,
  StoreEntry,
} from "./types.ts";
import type { ForegoneResult } from "./worker-protocol.ts";

/** Page caches in KiB: the user's data; the cluster's objects, which are few. */
const APP_CACHE_KIB = 4096;
const STATE_CACHE_KIB = 512;

/**
 * The two databases as one state machine. Lives in the worker; every call runs to its end.
 *
 * Entries are applied inside one SQLite transaction per file, which `commit` ends. Each file has its own position and
 * takes no entry twice, so that a crash between the two commits is harmless.
 */
export class StateMachine {
  readonly #wasm: SqliteWasm;
  readonly #app: DatabaseFile;
  readonly #state: DatabaseFile;
  readonly #runner: CommandRunner;
  /** Statements whose answer is known, by index of their entry. */
  readonly #foregone = new Map<number, Map<number, ForegoneResult["result"]>>();
  #applied: LogPosition;
  #hasHiddenWork: boolean;
  #uncommittedEntries = 0;
  #uncommittedBytes = 0;

  constructor(
    wasm: SqliteWasm,
    options: { readonly directory: string; readonly foregone: readonly ForegoneResult[] },
  ) {
    this.#wasm = wasm;
    const internals = findEngineInternals(wasm);
    const path = (name: string) => join(options.directory, name);
    this.#app = new DatabaseFile(wasm, internals, { path: path("app.db"), cacheKib: APP_CACHE_KIB });
    this.#state = new DatabaseFile(wasm, internals, { path: path("state.db"), cacheKib: STATE_CACHE_KIB });
    this.#runner = new CommandRunner(this.#app, internals);
    this.#applied = earlier(this.#app.committed, this.#state.committed);
    this.#hasHiddenWork = hasHiddenWork(this.#app);
    for (const { index, statement, result } of options.foregone) {
      const ofEntry = this.#foregone.get(index) ?? new Map<number, ForegoneResult["result"]>();
      this.#foregone.set(index, ofEntry.set(statement, result));
    }
  }

  /** The last entry applied to both files. */
  get applied(): LogPosition {
    return this.#applied;
  }

  /** See `Store.hasHiddenWork`. */
  get hasHiddenWork(): boolean {
    return this.#hasHiddenWork;
  }

  /** True if commands have been applied and not committed. */
  get hasUncommitted(): boolean {
    return this.#uncommittedBytes > 0;
  }

  /** True if so much has gathered that it should be committed now. */
  get shouldCommit(): boolean {
    return (
      this.#uncommittedEntries >= COMMIT_ENTRIES_MAX ||
      this.#uncommittedBytes >= COMMIT_BYTES_MAX ||
      this.#runner.hasChangedSchema
    );
  }

  /**
   * The next entry of the log. Throws if the environment failed, and `TransactionLostError`: then this object is of
   * no use any more.
   */
  apply(entry: StoreEntry): RanCommand {
    invariant(
      entry.index === this.#applied.index + 1,
      `entry ${entry.index} applied after ${this.#applied.index}`,
    );
    const isInApp = entry.index <= this.#app.committed.index;
    const ran = entry.command === null || isInApp ? NOTHING_RAN : this.#run(entry.index, entry.command);
    if (this.#runner.hasChangedSchema) this.#hasHiddenWork = hasHiddenWork(this.#app);
    this.#applied = { index: entry.index, term: entry.term };
    this.#uncommittedEntries += 1;
    this.#uncommittedBytes += entry.command?.byteLength ?? 0;
    return ran;
  }

  /** Statements that have been found to be read-only. Errors are results, but a result too large is thrown. */
  query(statements: readonly SqlStatement[]): CommandResult {
    return this.#withinMemory(() => this.#query(statements));
  }

  /**
   * Carries `command` out as an entry would be, to its end, and undoes it. Nothing may be uncommitted: a transaction of
   * its own that is rolled back takes along what a savepoint would leave, such as the planner's statistics and what
   * full-text tables keep in memory. Throws if the environment failed, or the memory of a query is not enough: then
   * this object is of no use any more.
   */
  rehearse(command: SqlCommand): void {
    invariant(!this.#app.connection.inTransaction, "a rehearsal has a transaction of its own");
    this.#withinMemory(() => this.#rehearse(command));
  }

  /** Ends the SQLite transactions. Not durable before `checkpoint`. */
  commit(): void {
    for (const file of [this.#state, this.#app]) {
      if (file.committed.index < this.#applied.index) file.commit(this.#applied);
    }
    this.#uncommittedEntries = 0;
    this.#uncommittedBytes = 0;
    if (this.#runner.hasChangedSchema) this.#runner.reloadSchema();
  }

  /** Commits, and makes it durable in both files. */
  checkpoint(): LogPosition {
    this.commit();
    this.#state.checkpoint();
    this.#app.checkpoint();
    return earlier(this.#app.committed, this.#state.committed);
  }

  /** Commits and closes the files. */
  close(): void {
    this.checkpoint();
    this.#state.close();
    this.#app.close();
  }

  #withinMemory<Answer>(ask: () => Answer): Answer {
    this.#wasm.setMemoryLimit(QUERY_MEMORY_MAX);
    try {
      return ask();
    } finally {
      this.#wasm.setMemoryLimit(Number.POSITIVE_INFINITY);
    }
  }

  /** Again, after a statement that lost the transaction: the ones behind it must be tried too. */
  #rehearse(command: SqlCommand): void {
    const foregone = new Map<number, StatementResult>();
    for (let isDone = false; !isDone; ) {
      this.#app.begin();
      try {
        this.#runner.run(command, foregone);
        isDone = true;
      } catch (error) {
        if (!(error instanceof TransactionLostError)) throw error;
        foregone.set(error.statement, error.result);
      }
      if (this.#app.connection.inTransaction) this.#app.run("ROLLBACK");
      if (this.#runner.hasChangedSchema) this.#runner.reloadSchema();
    }
  }

  #query(statements: readonly SqlStatement[]): CommandResult {
    const budget = new ResultBudget(QUERY_RESULT_LIMITS);
    const results = statements.map((statement) => {
      try {
        return runStatement(this.#app, statement, budget).result;
      } catch (error) {
        if (budget.isExceeded) throw error;
        return toErrorResult(error);
      }
    });
    invariant(
      this.#app.connection.inTransaction || !this.hasUncommitted,
      "a query has ended the transaction of the applied entries",
    );
    return results;
  }

  #run(index: number, bytes: Uint8Array): RanCommand {
    const command = decodeCommand(bytes);
    invariant(command.kind === "sql", "nothing else is proposed");
    this.#app.begin();
    return this.#runner.run(command, this.#foregone.get(index) ?? NONE_FOREGONE);
  }
}

const NOTHING_RAN: RanCommand = { results: [], bytes: 0 };
const NONE_FOREGONE: ForegoneResults = new Map();

function earlier(a: LogPosition, b: LogPosition): LogPosition {
  return a.index <= b.index ? a : b;
}
