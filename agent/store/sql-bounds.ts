import { hasCostlyExpression } from "./sql-costs.ts";
import type { SqlShape } from "./sql-shape.ts";
import type { SqlTokens } from "./sql-tokens.ts";

/**
 * True if the work of a statement is plainly bounded by its own text and a pass over each table and index that it
 * names: it cannot run for ever, whatever the data. Told by the tokens alone, and on the safe side: what cannot be
 * ruled out is unbounded.
 *
 * Unbounded is whatever may bring rows of its own: SELECT, WITH, FROM (of an UPDATE; a view may be behind any name),
 * and IN with a table or a table-valued function instead of a list; and an expression that costs more than it reads
 * (`hasCostlyExpression`). CREATE INDEX, REINDEX, ANALYZE and ALTER TABLE pass over what is there once, so they are bounded.
 * EXPLAIN carries nothing out.
 *
 * What the text cannot show is `Store.hasHiddenWork`: what the schema says of the table. Bounded
 * does not mean quick: a foreign key without an index on its child costs a pass over the child for each parent row.
 */
export function isBounded({ tokens, isExplain }: SqlShape): boolean {
  return isExplain || !(bringsRows(tokens) || hasCostlyExpression(tokens));
}

function bringsRows(tokens: SqlTokens): boolean {
  for (let at = 0; at < tokens.length; at++) if (mayBringRows(tokens, at)) return true;
  return false;
}

function mayBringRows(tokens: SqlTokens, at: number): boolean {
  switch (tokens.keyword(at)) {
    case "SELECT":
    case "WITH":
      return true;
    case "FROM":
      return tokens.keyword(at - 1) !== "DELETE";
    case "IN":
      return !tokens.isOperator(at + 1, "(");
    default:
      return false;
  }
}
