import sqlite from "node-sqlite3-wasm";
import type { SqlService } from "../../agent/replica/sql-service.ts";
import type { CommandResult, SqlStatement, SqlValue, StatementResult } from "../../agent/store/types.ts";

/** A cluster of one that forgets: SQL on a database in memory. */
export class MemorySqlService implements SqlService {
  readonly #database = new sqlite.Database();
  /** What the API asked for last. */
  lastOptions: object = {};

  async execute(
    statements: readonly SqlStatement[],
    options: { readonly timeoutMs: number; readonly transaction: boolean },
  ): Promise<CommandResult> {
    this.lastOptions = options;
    return statements.map((statement) => this.#run(statement, "changed"));
  }

  async query(
    statements: readonly SqlStatement[],
    options: { readonly timeoutMs: number },
  ): Promise<CommandResult> {
    this.lastOptions = options;
    return statements.map((statement) => this.#run(statement, "rows"));
  }

  async openSession(options: { readonly timeoutMs: number }): Promise<number> {
    this.lastOptions = options;
    return 7;
  }

  close(): void {
    this.#database.close();
  }

  #run({ sql, parameters }: SqlStatement, kind: "changed" | "rows"): StatementResult {
    try {
      const values = bindValues(parameters);
      if (kind === "changed") {
        const { changes, lastInsertRowid } = this.#database.run(sql, values);
        return { kind, rowsAffected: changes, lastInsertId: lastInsertRowid };
      }
      const rows = this.#database.all(sql, values) as Readonly<Record<string, SqlValue>>[];
      const columns = Object.keys(rows[0] ?? {});
      return { kind, columns, types: columns.map(() => ""), values: rows.map((row) => Object.values(row)) };
    } catch (error) {
      if (error instanceof sqlite.SQLite3Error) return { kind: "error", code: "sql", message: error.message };
      throw error;
    }
  }
}

function bindValues(parameters: SqlStatement["parameters"]): SqlValue[] | Record<string, SqlValue> {
  if (Array.isArray(parameters)) return [...parameters];
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [`:${name}`, value]));
}
