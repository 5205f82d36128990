import { LruCache } from "../platform/lru-cache.ts";
import type { EngineInternals } from "./engine-internals.ts";
import { STATEMENT_CACHE_BYTES_MAX, STATEMENT_CACHE_COUNT_MAX } from "./limits.ts";
import type { PreparedStatement } from "./prepared-statement.ts";
import { readSqlShape } from "./sql-shape.ts";
import type { SqliteConnection } from "./sqlite-connection.ts";

/** A compiled statement with what the runner must know about it. */
export interface CachedStatement {
  readonly prepared: PreparedStatement;
  /** `verb` of its `SqlShape`. */
  readonly verb: string;
}

/** After these SQLite compiles every statement again, when it is used next. */
const SCHEMA_VERBS: ReadonlySet<string> = new Set(["CREATE", "DROP", "ALTER", "ANALYZE", "REINDEX"]);

/** Longer texts are compiled for one use: they are bulk loads with their values inside, never to come again. */
const CACHED_TEXT_MAX = 16 * 1024;

/**
 * Compiled statements by their text: compiling costs ten times the running of a small one. Each has a journal of its own
 * (`EngineInternals.journal`), so that one that fails does not take the transaction along.
 *
 * SQLite would compile a statement again by itself when the schema has changed, but without that: they are forgotten here.
 */
export class StatementCache {
  readonly #connection: SqliteConnection;
  readonly #internals: EngineInternals;
  readonly #statements = new LruCache<CachedStatement>({
    countMax: STATEMENT_CACHE_COUNT_MAX,
    sizeMax: STATEMENT_CACHE_BYTES_MAX,
    onEvict: ({ prepared }) => prepared.finalize(),
  });

  constructor(connection: SqliteConnection, internals: EngineInternals) {
    this.#connection = connection;
    this.#internals = internals;
  }

  /**
   * Calls `use` with the statement, ready to be bound, and resets it afterwards. Throws `SqliteError` if it does
   * not compile. `use` gets null if `sql` holds no statement.
   */
  use<T>(sql: string, use: (statement: CachedStatement | null) => T): T {
    const statement = this.#statements.get(sql) ?? this.#compile(sql);
    if (statement === null) return use(null);
    try {
      return use(statement);
    } finally {
      statement.prepared.reset();
      if (sql.length > CACHED_TEXT_MAX) statement.prepared.finalize();
      if (changesSchema(statement.verb)) this.clear();
    }
  }

  /** Finalizes all. To be called when a change of the schema is undone, too. */
  clear(): void {
    this.#statements.clear();
  }

  #compile(sql: string): CachedStatement | null {
    const prepared = this.#connection.prepare(sql);
    if (prepared === null) return null;
    this.#internals.journal(prepared);
    const statement = { prepared, verb: readSqlShape(sql).verb };
    if (sql.length <= CACHED_TEXT_MAX) this.#statements.set(sql, statement, sql.length);
    return statement;
  }
}

/** True if a statement with this verb may change the schema or the planner's statistics. */
export function changesSchema(verb: string): boolean {
  return SCHEMA_VERBS.has(verb);
}
