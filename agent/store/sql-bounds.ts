import { hasCostlyExpression } from "./sql-costs.ts";
import { isOperator, keyword, type SqlShape } from "./sql-shape.ts";
import type { SqlToken } from "./sql-tokens.ts";

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
  return isExplain || !(tokens.some((_, at) => mayBringRows(tokens, at)) || hasCostlyExpression(tokens));
}

function mayBringRows(tokens: readonly SqlToken[], at: number): boolean {
  switch (keyword(tokens[at])) {
    case "SELECT":
    case "WITH":
      return true;
    case "FROM":
      return keyword(tokens[at - 1]) !== "DELETE";
    case "IN":
      return !isOperator(tokens[at + 1], "(");
    default:
      return false;
  }
}
