import type { DatabaseFile } from "./database-file.ts";
import type { SqlTokens } from "./sql-tokens.ts";
import { tokenizeSql } from "./tokenize-sql.ts";
import type { TableTraits } from "./write-bound.ts";

/** While it is read. */
interface Draft {
  copies: number;
  defaultLength: number;
  readonly keys: string[][];
  actsOnDelete: boolean;
  actsOnUpdate: boolean;
  readonly isOpaque: boolean;
  /** Where texts compare otherwise than by their bytes, a key that no two rows share may still be equal to more than one. */
  readonly isCollated: boolean;
}

type Drafts = ReadonlyMap<string, Draft>;

const TABLES = `SELECT lower(t.name), t.sql, l.wr
  FROM sqlite_schema AS t JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = t.name
  WHERE t.type = 'table' AND t.sql IS NOT NULL`;
const COLUMNS = `SELECT lower(t.name), lower(c.name), c.pk, length(c.dflt_value), c.hidden
  FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
  WHERE t.type = 'table' AND t.sql IS NOT NULL`;
/** A row for each column of a key; those of one index follow one another. */
const INDEXES = `SELECT lower(t.name), lower(c.name), c.seqno, l."unique" AND NOT l.partial, c.coll = 'BINARY'
  FROM sqlite_schema AS t, pragma_index_list(t.name) AS l, pragma_index_xinfo(l.name) AS c
  WHERE t.type = 'table' AND t.sql IS NOT NULL AND c.key
  ORDER BY t.name, l.seq, c.seqno`;
const PARENTS = `SELECT lower(k."table"), k.on_delete, k.on_update
  FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS k
  WHERE t.type = 'table'`;
/** What a foreign key may do besides refusing. */
const ACTIONS: ReadonlySet<unknown> = new Set(["CASCADE", "SET NULL", "SET DEFAULT"]);

const VIRTUAL = /^CREATE VIRTUAL TABLE /i;
/** Of `hidden` in `pragma_table_xinfo`: a generated column that is stored. */
const STORED = 3;

/** Of all tables in the file. Reads the whole schema. */
export function readTableTraits(file: DatabaseFile): ReadonlyMap<string, TableTraits> {
  const tables = readTables(file);
  readColumns(file, tables);
  readIndexes(file, tables);
  file.read(PARENTS, [], (row) => {
    const parent = tables.get(String(row.readColumn(0)));
    if (parent === undefined) return true;
    parent.actsOnDelete ||= ACTIONS.has(row.readColumn(1));
    parent.actsOnUpdate ||= ACTIONS.has(row.readColumn(2));
    return true;
  });
  return tables;
}

function readTables(file: DatabaseFile): Map<string, Draft> {
  const tables = new Map<string, Draft>();
  file.read(TABLES, [], (row) => {
    const sql = String(row.readColumn(1));
    const hasRowid = row.readColumn(2) === 0;
    tables.set(String(row.readColumn(0)), {
      copies: 1,
      defaultLength: 0,
      keys: hasRowid ? [["rowid"]] : [],
      actsOnDelete: false,
      actsOnUpdate: false,
      isOpaque: VIRTUAL.test(sql) || replacesOnConflict(tokenizeSql(sql)),
      isCollated: /\bCOLLATE\b/i.test(sql),
    });
    return true;
  });
  return tables;
}

function readColumns(file: DatabaseFile, tables: Drafts): void {
  const primary = new Map<Draft, string[]>();
  file.read(COLUMNS, [], (row) => {
    const table = tables.get(String(row.readColumn(0)));
    const column = String(row.readColumn(1));
    if (table === undefined) return true;
    table.defaultLength += Number(row.readColumn(3));
    if (row.readColumn(4) === STORED) table.copies += 1;
    // It hides the one that every row has.
    if (column === "rowid") table.keys.length = 0;
    if (row.readColumn(2) !== 0) primary.set(table, [...(primary.get(table) ?? []), column]);
    return true;
  });
  for (const [table, key] of primary) if (!table.isCollated) table.keys.push(key);
}

function readIndexes(file: DatabaseFile, tables: Drafts): void {
  let key: string[] | null = null;
  file.read(INDEXES, [], (row) => {
    const table = tables.get(String(row.readColumn(0)));
    if (table === undefined) return true;
    const [column, isFirst] = [row.readColumn(1), row.readColumn(2) === 0];
    if (isFirst) {
      table.copies += 1;
      const isKey = row.readColumn(3) === 1 && !table.isCollated;
      key = isKey ? [] : null;
      if (key !== null) table.keys.push(key);
    }
    // An expression has no name.
    const isPlain = typeof column === "string" && row.readColumn(4) === 1;
    key?.push(isPlain ? column : NEVER_EQUATED);
    return true;
  });
}

/** No column has this name. */
const NEVER_EQUATED = "\0";

/** With ON CONFLICT REPLACE in its constraint, a table loses rows to a plain INSERT. */
export function replacesOnConflict(tokens: SqlTokens): boolean {
  return (
    tokens.findIndex((at) => tokens.keyword(at - 1) === "CONFLICT" && tokens.keyword(at) === "REPLACE") >= 0
  );
}
