import type { DatabaseFile } from "./database-file.ts";
import { type PreparedStatement, toNumberIfExact } from "./prepared-statement.ts";
import type { ResultBudget } from "./result-budget.ts";
import { readSqlShape } from "./sql-shape.ts";
import type { CachedStatement } from "./statement-cache.ts";
import { StatementError } from "./statement-error.ts";
import type { SqlStatement, SqlValue, StatementResult } from "./types.ts";

/** Verbs after which sqlite3_changes() speaks of this statement and not of one before. */
const COUNTED_VERBS: ReadonlySet<string> = new Set(["INSERT", "REPLACE", "UPDATE", "DELETE"]);

export interface RanStatement {
  /** `verb` of its `SqlShape`. */
  readonly verb: string;
  readonly result: StatementResult;
}

/**
 * Carries out one statement on `file` to its end. Throws `SqliteError` or `StatementError`; whoever calls it decides
 * what is then undone.
 */
export function runStatement(
  file: DatabaseFile,
  statement: SqlStatement,
  budget: ResultBudget,
): RanStatement {
  return file.statements.use(statement.sql, (cached) => {
    if (cached === null)
      throw new StatementError("empty-statement", "The statement is empty. Send one SQL statement.");
    requireSingle(cached);
    const { prepared, verb } = cached;
    prepared.bind(statement.parameters);
    const hasRow = prepared.step();
    if (prepared.columnCount > 0) return { verb, result: readRows(prepared, hasRow, budget) };
    const lastInsertId = toNumberIfExact(file.connection.lastInsertRowid);
    const rowsAffected = COUNTED_VERBS.has(verb) ? file.connection.changes : 0;
    return { verb, result: { kind: "changed", lastInsertId, rowsAffected } };
  });
}

/** SQLite compiles the first statement and passes over the rest without a word. */
function requireSingle({ prepared }: CachedStatement): void {
  if (prepared.tail === "" || readSqlShape(prepared.tail).tokens.length === 0) return;
  throw new StatementError(
    "several-statements",
    "There is more than one statement in one string. Send a list of statements.",
  );
}

function readRows(prepared: PreparedStatement, hasRow: boolean, budget: ResultBudget): StatementResult {
  const columns = prepared.readColumnNames();
  for (const column of columns) budget.spendValue(column);
  const types = columns.map(() => "");
  const values: SqlValue[][] = [];
  for (let isRow = hasRow; isRow; isRow = prepared.step()) {
    const row: SqlValue[] = [];
    for (const [column, type] of types.entries()) {
      const value = prepared.readColumn(column);
      if (type === "" && value !== null) types[column] = prepared.readColumnType(column);
      budget.spendValue(value);
      row.push(value);
    }
    budget.spendRow();
    values.push(row);
  }
  return { kind: "rows", columns, types, values };
}
