import type { DatabaseFile } from "./database-file.ts";
import { hasCostlyExpression } from "./sql-costs.ts";
import { tokenizeSql } from "./sql-tokens.ts";

const VIRTUAL = /^CREATE VIRTUAL TABLE /i;
/** FTS5 takes any beginning of the word `content` for it. */
const CONTENT_OPTION = /[(,]\s*c\w*\s*=/i;

/**
 * True if the schema has something that makes a plain write run what its text does not show: a trigger, a full-text table
 * that reads its content from elsewhere, which may be a view, or a costly expression (of a constraint, a default, a generated
 * column, an index). Reads the whole schema.
 */
export function hasHiddenWork(file: DatabaseFile): boolean {
  const suspects = "SELECT type, sql FROM sqlite_schema WHERE type <> 'view' AND sql IS NOT NULL";
  return file.statements.use(suspects, (read) => {
    while (read?.prepared.step() === true) {
      const [type, sql] = [read.prepared.readColumn(0), String(read.prepared.readColumn(1))];
      if (type === "trigger" || bringsOtherRows(sql) || hasCostlyExpression(tokenizeSql(sql))) return true;
    }
    return false;
  });
}

function bringsOtherRows(sql: string): boolean {
  return VIRTUAL.test(sql) && CONTENT_OPTION.test(sql);
}
