import type { DatabaseFile } from "./database-file.ts";
import { hasCostlyExpression } from "./sql-costs.ts";
import { tokenizeSql } from "./tokenize-sql.ts";

/** What the schema says that the text of a write does not show. */
export interface SchemaTraits {
  /**
   * A plain write may run more than its text: there is a trigger, a full-text table that reads its content from elsewhere,
   * which may be a view, or a costly expression (of a constraint, a default, a generated column, an index).
   */
  readonly hasHiddenWork: boolean;
  readonly hasVirtualTable: boolean;
}

const VIRTUAL = /^CREATE VIRTUAL TABLE /i;
/** FTS5 takes any beginning of the word `content` for it. */
const CONTENT_OPTION = /[(,]\s*c\w*\s*=/i;

/** Reads the whole schema. */
export function readSchemaTraits(file: DatabaseFile): SchemaTraits {
  let [hasHiddenWork, hasVirtualTable] = [false, false];
  file.read("SELECT type, sql FROM sqlite_schema WHERE type <> 'view' AND sql IS NOT NULL", [], (row) => {
    const [type, sql] = [row.readColumn(0), String(row.readColumn(1))];
    const isVirtual = VIRTUAL.test(sql);
    hasVirtualTable ||= isVirtual;
    hasHiddenWork ||=
      type === "trigger" || (isVirtual && CONTENT_OPTION.test(sql)) || hasCostlyExpression(tokenizeSql(sql));
    return true;
  });
  return { hasHiddenWork, hasVirtualTable };
}
