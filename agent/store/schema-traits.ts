import type { DatabaseFile } from "./database-file.ts";
import { PASSES_MAX } from "./sql-bounds.ts";
import { countConcatenations, hasCostlyExpression } from "./sql-costs.ts";
import type { SqlTokens } from "./sql-tokens.ts";
import { SQLITE_ERROR, SqliteError } from "./sqlite-error.ts";
import type { HiddenWork } from "./store.ts";
import { readTableTraits, replacesOnConflict } from "./table-traits.ts";
import { tokenizeSql } from "./tokenize-sql.ts";
import type { TableTraits } from "./write-bound.ts";

/** What the schema says that the text of a write does not show. */
export interface SchemaTraits {
  readonly hiddenWork: HiddenWork;
  readonly hasVirtualTable: boolean;
  readonly tables: ReadonlyMap<string, TableTraits>;
}

const VIRTUAL = /^CREATE VIRTUAL TABLE /i;
/** FTS5 takes any beginning of the word `content` for it. */
const CONTENT_OPTION = /[(,]\s*c\w*\s*=/i;

/** Column of EXPLAIN QUERY PLAN. */
const PLAN_DETAIL = 3;

/** Reads the whole schema. */
export function readSchemaTraits(file: DatabaseFile): SchemaTraits {
  let [hasHiddenWork, hasVirtualTable, replaces] = [false, false, false];
  file.read("SELECT type, sql FROM sqlite_schema WHERE type <> 'view' AND sql IS NOT NULL", [], (row) => {
    const [type, sql] = [row.readColumn(0), String(row.readColumn(1))];
    const tokens = tokenizeSql(sql);
    const isVirtual = VIRTUAL.test(sql);
    hasVirtualTable ||= isVirtual;
    // A full-text table may read its content from elsewhere, which may be a view.
    hasHiddenWork ||= type === "trigger" || (isVirtual && CONTENT_OPTION.test(sql)) || isCostly(tokens);
    replaces ||= replacesOnConflict(tokens);
    return true;
  });
  const tables = readTableTraits(file);
  if (hasHiddenWork) return { hiddenWork: "of-any-write", hasVirtualTable, tables };
  const scans = parentTables(file).some((table) => scansForChildren(file, table));
  const ofScans = replaces ? "of-any-write" : "of-removals";
  return { hiddenWork: scans ? ofScans : "none", hasVirtualTable, tables };
}

/** Of a constraint, a default, a generated column, an index. */
function isCostly(tokens: SqlTokens): boolean {
  return hasCostlyExpression(tokens) || countConcatenations(tokens) > PASSES_MAX;
}

/** Those that a foreign key names, whether they are there or not. */
function parentTables(file: DatabaseFile): readonly string[] {
  const tables: string[] = [];
  const sql =
    "SELECT DISTINCT k.\"table\" FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS k WHERE t.type = 'table'";
  file.read(sql, [], (row) => {
    tables.push(String(row.readColumn(0)));
    return true;
  });
  return tables;
}

/**
 * True if SQLite looks through all of a child table for each row that leaves `table`. Only its planner can tell: an index is of no
 * use to it where collation or affinity of the two columns differ.
 */
function scansForChildren(file: DatabaseFile, table: string): boolean {
  let scans = 0;
  const plan = `EXPLAIN QUERY PLAN DELETE FROM "${table.replaceAll('"', '""')}"`;
  try {
    file.read(plan, [], (row) => {
      if (String(row.readColumn(PLAN_DETAIL)).startsWith("SCAN ")) scans += 1;
      return true;
    });
  } catch (error) {
    // The table is not there, or has no such key: then nothing is written to it either.
    if (error instanceof SqliteError && error.primaryCode === SQLITE_ERROR) return false;
    throw error;
  }
  // The first one is over the table itself.
  return scans > 1;
}
