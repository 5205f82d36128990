import { countConcatenations, hasCostlyExpression } from "./sql-costs.ts";
import type { SqlShape } from "./sql-shape.ts";
import type { SqlTokens } from "./sql-tokens.ts";

/** So many passes of the statements of a request together are plainly bounded work. */
export const PASSES_MAX = 16;

/** So many names in expressions take about as long as a pass, for each row; and so many `||` as one over all that is written. */
const PARTS_PER_PASS = 64;

/**
 * How often a statement may pass over the tables that it names, with all that is in them; infinite if its work is not plainly bounded
 * by that and its own text, so that it might run for ever. Told by the tokens alone, and on the safe side: what cannot be ruled out
 * is counted.
 *
 * Unbounded is whatever may bring rows of its own: SELECT, WITH, FROM (of an UPDATE; a view may be behind any name),
 * and IN with a table or a table-valued function instead of a list; and an expression that costs more than it reads
 * (`hasCostlyExpression`). A plain INSERT passes over nothing. EXPLAIN carries nothing out.
 *
 * What the text cannot show is `Store.hiddenWork`: what the schema says of the table.
 */
export function countPasses(shape: SqlShape): number {
  const { tokens, isExplain } = shape;
  if (isExplain) return 0;
  if (bringsRows(tokens) || hasCostlyExpression(tokens)) return Number.POSITIVE_INFINITY;
  const concatenations = countConcatenations(tokens);
  if (!mayScan(shape)) return Math.floor(concatenations / PARTS_PER_PASS);
  return 1 + concatenations + Math.floor(countNames(tokens) / PARTS_PER_PASS);
}

/** True if rows may leave a table, or their keys may change. */
export function mayRemove({ tokens, verb }: SqlShape): boolean {
  if (verb === "DELETE" || verb === "DROP") return true;
  const at = tokens.findIndex(
    (each) => tokens.keyword(each) === "UPDATE" || tokens.keyword(each) === "REPLACE",
  );
  return at >= 0;
}

/** True if it may bring what makes other writes do more than their text shows. */
export function mayChangeSchema({ verb }: SqlShape): boolean {
  return verb === "CREATE" || verb === "ALTER" || verb === "DROP" || verb === "ANALYZE";
}

function mayScan({ tokens, verb }: SqlShape): boolean {
  switch (verb) {
    case "INSERT":
    case "REPLACE":
      // ON CONFLICT DO UPDATE: it reads what is there.
      return tokens.findIndex((at) => tokens.keyword(at) === "UPDATE") >= 0;
    case "CREATE":
      return tokens.keyword(1) === "INDEX" || tokens.keyword(2) === "INDEX";
    case "VALUES":
    case "DROP":
      return false;
    default:
      return true;
  }
}

function countNames(tokens: SqlTokens): number {
  let count = 0;
  for (let at = 0; at < tokens.length; at++) if (tokens.isName(at)) count += 1;
  return count;
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
