import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../agent/platform/clock.ts";
import type { Logger } from "../../agent/platform/logger.ts";
import { encodeCommand } from "../../agent/store/command.ts";
import type { ObjectWrite } from "../../agent/store/objects.ts";
import { planQuery } from "../../agent/store/query-plan.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { Store } from "../../agent/store/store.ts";
import type {
  Command,
  CommandResult,
  SessionGuard,
  SqlStatement,
  SqlValue,
  StatementResult,
  StoreEntry,
} from "../../agent/store/types.ts";

/** Long enough for a loaded machine; nothing waits for it to pass. */
export const PATIENT_MS = 20_000;

/** A query that does not end by itself. */
export const ENDLESS = statement(
  "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c",
);

/** A write into table `t` that a node would apply for ever. */
export const ENDLESS_WRITE = statement(
  "INSERT INTO t SELECT count(*) FROM (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)",
);

const silent: Logger = { log: () => undefined };

export function statement(sql: string, parameters: SqlStatement["parameters"] = []): SqlStatement {
  return { sql, parameters };
}

/** The entry at `index`: its time and seed follow from it, as if one leader had proposed them all. */
export function entry(
  index: number,
  statements: readonly (string | SqlStatement)[],
  transaction = false,
  session: SessionGuard | null = null,
): StoreEntry {
  return commandEntry(index, {
    kind: "sql",
    timeMs: timeOf(index),
    session,
    seed: Uint8Array.from({ length: 16 }, (_, at) => (index * 31 + at * 7) & 0xff),
    transaction,
    statements: statements.map((each) => (typeof each === "string" ? statement(each) : each)),
  });
}

export function sessionEntry(index: number): StoreEntry {
  return commandEntry(index, { kind: "open-session", timeMs: timeOf(index) });
}

export function objectsEntry(
  index: number,
  writes: readonly ObjectWrite[],
  session: SessionGuard | null = null,
): StoreEntry {
  return commandEntry(index, { kind: "objects", timeMs: timeOf(index), session, writes });
}

/** An entry that changes the membership to what the text says. */
export function configurationEntry(index: number, text: string): StoreEntry {
  return { index, term: 1, command: null, configuration: Buffer.from(text) };
}

export function commandEntry(index: number, command: Command): StoreEntry {
  return { index, term: 1, command: encodeCommand(command) };
}

/** Of the leader's clock at an entry. */
export function timeOf(index: number): number {
  return 1_700_000_000_000 + 1_234 * index;
}

/** One entry for each element, from index 1. */
export function logOf(...commands: readonly (string | readonly string[])[]): StoreEntry[] {
  return commands.map((sql, nth) => entry(nth + 1, typeof sql === "string" ? [sql] : sql));
}

/** A store on real files, that can be closed and opened again. */
export class StoreNode {
  readonly directory: string;
  readonly #workerUrl: URL | undefined;
  #store: Store;

  private constructor(directory: string, store: Store, workerUrl: URL | undefined) {
    this.directory = directory;
    this.#store = store;
    this.#workerUrl = workerUrl;
  }

  static async create(
    options: { readonly workerUrl?: URL; readonly logger?: Logger } = {},
  ): Promise<StoreNode> {
    const directory = await mkdtemp(join(tmpdir(), "trivet-store-"));
    const store = await openStore(directory, options.workerUrl, options.logger);
    return new StoreNode(directory, store, options.workerUrl);
  }

  /** Of files that are there. */
  static async open(directory: string, workerUrl?: URL): Promise<StoreNode> {
    return new StoreNode(directory, await openStore(directory, workerUrl), workerUrl);
  }

  get store(): Store {
    return this.#store;
  }

  async reopen(): Promise<void> {
    await this.reopenAfter(async () => undefined);
  }

  /** Does something to the files while they are closed. */
  async reopenAfter(change: () => Promise<void>): Promise<void> {
    await this.#store.close();
    await change();
    this.#store = await openStore(this.directory, this.#workerUrl);
  }

  async remove(): Promise<void> {
    await this.#store.close();
    await rm(this.directory, { recursive: true });
  }

  /** Applies one command as the next entry. */
  async execute(statements: readonly (string | SqlStatement)[], transaction = false): Promise<CommandResult> {
    const [result = []] = await this.store.apply([
      entry(this.store.applied.index + 1, statements, transaction),
    ]);
    return result;
  }

  /** Applies what `create` makes of the next index. */
  async applyNext(create: (index: number) => StoreEntry): Promise<CommandResult> {
    const [result = []] = await this.store.apply([create(this.store.applied.index + 1)]);
    return result;
  }

  /** The result of one statement of its own. */
  async executeOne(sql: string, parameters: SqlStatement["parameters"] = []): Promise<StatementResult> {
    return only(await this.execute([statement(sql, parameters)]));
  }

  async queryOne(sql: string, parameters: SqlStatement["parameters"] = []): Promise<StatementResult> {
    return only(await this.store.query(planQuery([statement(sql, parameters)]), { timeoutMs: PATIENT_MS }));
  }

  /** The rows of one SELECT. Throws its error. */
  async rows(
    sql: string,
    parameters: SqlStatement["parameters"] = [],
  ): Promise<readonly (readonly SqlValue[])[]> {
    const result = await this.queryOne(sql, parameters);
    if (result.kind !== "rows") throw new Error(`${sql}: ${JSON.stringify(result)}`);
    return result.values;
  }

  /** Everything that a user could see: the schema, and all rows of all tables with their rowids. */
  async dump(): Promise<Record<string, unknown>> {
    const schema = await this.rows("SELECT name, sql FROM sqlite_schema ORDER BY name");
    const tables = await this.rows(
      "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT GLOB '_triv*' ORDER BY name",
    );
    const content: [unknown, unknown][] = [];
    for (const [name, withoutRowid] of tables) {
      const columns = withoutRowid === 1 ? "*" : "rowid, *";
      content.push([name, await this.rows(`SELECT ${columns} FROM "${String(name)}"`)]);
    }
    return { schema, ...Object.fromEntries(content) };
  }
}

function openStore(directory: string, workerUrl: URL | undefined, logger: Logger = silent): Promise<Store> {
  return openSqliteStore({ directory, logger, clock: systemClock, ...(workerUrl && { workerUrl }) });
}

function only(results: CommandResult): StatementResult {
  const [result] = results;
  if (result === undefined || results.length !== 1)
    throw new Error(`${results.length} results instead of one`);
  return result;
}
