import { invariant } from "../platform/invariant.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { EngineInternals } from "./engine-internals.ts";
import { createSeededEntropy, type Entropy, systemEntropy } from "./entropy.ts";
import { COMMAND_RESULT_LIMITS } from "./limits.ts";
import { registerRandomFunctions } from "./random-functions.ts";
import { ResultBudget } from "./result-budget.ts";
import { runStatement } from "./run-statement.ts";
import { changesSchema } from "./statement-cache.ts";
import { StatementError, toErrorResult } from "./statement-error.ts";
import type { CommandResult, SqlCommand, SqlStatement, StatementResult } from "./types.ts";

/**
 * SQLite ended the whole transaction because of one statement, whose answer is nevertheless certain. `StatementCache` keeps it from
 * that, but for a few: such as one that inserts into an AUTOINCREMENT table without a rowid left what a SELECT with a parameter as
 * its LIMIT finds. All of these have work that is not bounded, so the rehearsal of `Questions` refuses them.
 */
export class TransactionLostError extends Error {
  override readonly name = "TransactionLostError";
  /** Position of the statement in its command. */
  readonly statement: number;
  readonly result: StatementResult;

  constructor(statement: number, result: StatementResult) {
    super("SQLite has rolled the transaction back by itself");
    this.statement = statement;
    this.result = result;
  }
}

/** Results that are known before: of statements that lost the transaction when they were tried. By position. */
export type ForegoneResults = ReadonlyMap<number, StatementResult>;
const NONE_FOREGONE: ForegoneResults = new Map();

/** What SQLite draws from its generator for one random rowid. */
const RANDOM_ROWID_BYTES = 8;
const COUNT_NOTHING = "DELETE FROM temp._trivet_rowid WHERE FALSE";

/**
 * Carries out commands so that every node gets the same results and the same data, whatever it did before: with the
 * command's time and chance, and from the same state of the connection.
 */
export class CommandRunner {
  readonly #file: DatabaseFile;
  readonly #internals: EngineInternals;
  #entropy: Entropy = systemEntropy;
  #hasChangedSchema = false;

  constructor(file: DatabaseFile, internals: EngineInternals) {
    this.#file = file;
    this.#internals = internals;
    registerRandomFunctions(file.connection, () => this.#entropy);
    file.connection.run("CREATE TEMP TABLE _trivet_rowid (id INTEGER PRIMARY KEY)");
  }

  /**
   * In the file's open transaction. One result per statement; a `transaction` that fails ends with its error, and
   * nothing of it remains. Throws what is not a result: the environment's failures and `TransactionLostError`.
   */
  run(command: SqlCommand, foregone: ForegoneResults = NONE_FOREGONE): CommandResult {
    const systemNow = Date.now;
    Date.now = () => command.timeMs;
    this.#entropy = createSeededEntropy(command.seed);
    try {
      this.#resetConnection();
      const budget = new ResultBudget(COMMAND_RESULT_LIMITS);
      return command.transaction
        ? this.#runTransaction(command.statements, foregone, budget)
        : this.#runEach(command.statements, foregone, budget);
    } finally {
      Date.now = systemNow;
      this.#entropy = systemEntropy;
    }
  }

  /**
   * True if a virtual table takes part in the open transaction. SQLite tells each of those of a savepoint, upon which a full-text
   * table writes down what it has gathered with an INSERT of its own: whether it has anything or not, that is counted.
   */
  hasVirtualTableOpen(): boolean {
    if (!this.#file.connection.inTransaction) return false;
    this.#resetConnection();
    this.#file.run("SAVEPOINT probe");
    const { changes } = this.#file.connection;
    this.#file.run("RELEASE probe");
    return changes > 0;
  }

  /** True if a command since `reloadSchema` may have changed the schema or the planner's statistics. */
  get hasChangedSchema(): boolean {
    return this.#hasChangedSchema;
  }

  /**
   * Reads the schema and the planner's statistics from the file again, as a node does that starts here: what ANALYZE
   * or a change of the schema leaves in memory can choose another plan, and so another order of rows. No transaction
   * may be open: full-text tables keep writes in memory within one.
   */
  reloadSchema(): void {
    this.#file.connection.run("PRAGMA writable_schema = RESET");
    this.#file.statements.clear();
    this.#hasChangedSchema = false;
  }

  #runEach(
    statements: readonly SqlStatement[],
    foregone: ForegoneResults,
    budget: ResultBudget,
  ): CommandResult {
    return statements.map((statement, at) => foregone.get(at) ?? this.#runAlone(statement, at, budget));
  }

  #runAlone(statement: SqlStatement, at: number, budget: ResultBudget): StatementResult {
    this.#file.run("SAVEPOINT statement");
    const result = this.#tryStatement(statement, at, budget, true);
    if (result.kind === "error") this.#file.run("ROLLBACK TO statement");
    this.#file.run("RELEASE statement");
    return result;
  }

  #runTransaction(
    statements: readonly SqlStatement[],
    foregone: ForegoneResults,
    budget: ResultBudget,
  ): CommandResult {
    const results: StatementResult[] = [];
    this.#file.run("SAVEPOINT command");
    for (const [at, statement] of statements.entries()) {
      const isLast = at === statements.length - 1;
      const result = foregone.get(at) ?? this.#tryStatement(statement, at, budget, isLast);
      results.push(result);
      if (result.kind !== "error") continue;
      this.#file.run("ROLLBACK TO command");
      if (this.#hasChangedSchema) this.#file.statements.clear();
      break;
    }
    this.#file.run("RELEASE command");
    return results;
  }

  /** `isEnd`: deferred foreign keys must hold afterwards. */
  #tryStatement(statement: SqlStatement, at: number, budget: ResultBudget, isEnd: boolean): StatementResult {
    const drawnBefore = this.#internals.drawnBytes();
    const rowidBefore = this.#file.connection.lastInsertRowid;
    let result: StatementResult;
    try {
      const ran = runStatement(this.#file, statement, budget);
      result = ran.result;
      this.#hasChangedSchema ||= changesSchema(ran.verb);
      this.#requireSameRowids(drawnBefore, rowidBefore);
      if (isEnd) this.#requireForeignKeys();
    } catch (error) {
      result = toErrorResult(error);
    }
    if (this.#file.connection.inTransaction) return result;
    invariant(result.kind === "error", "a statement has committed what is not its own");
    throw new TransactionLostError(at, result);
  }

  #requireSameRowids(drawnBefore: number, rowidBefore: bigint): void {
    if (this.#internals.drawnBytes() - drawnBefore < RANDOM_ROWID_BYTES) return;
    // The statement will be undone, but not what last_insert_rowid() has seen of it.
    this.#setLastInsertRowid(rowidBefore);
    throw new StatementError(
      "rowid-exhausted",
      "The table holds the largest rowid, 9223372036854775807, so that SQLite would choose new ones at random. Give the rowid, or delete that row.",
    );
  }

  /** The one SQLite transaction ends much later, so a command answers for its deferred constraints itself. */
  #requireForeignKeys(): void {
    if (this.#internals.deferredViolations(this.#file.connection) === 0) return;
    throw new StatementError("constraint", "FOREIGN KEY constraint failed");
  }

  /** last_insert_rowid() and changes() are 0 for each command, as on a node that was started just now. */
  #resetConnection(): void {
    this.#file.run("INSERT OR REPLACE INTO temp._trivet_rowid VALUES (0)");
    this.#file.run(COUNT_NOTHING);
  }

  /** And changes() to 0. */
  #setLastInsertRowid(rowid: bigint): void {
    this.#file.run("INSERT OR REPLACE INTO temp._trivet_rowid VALUES (?)", [rowid]);
    this.#file.run("DELETE FROM temp._trivet_rowid");
    this.#file.run(COUNT_NOTHING);
  }
}
