import type { Keyword } from "./sql-keywords.ts";
import type { SqlTokens } from "./sql-tokens.ts";

/**
 * Functions whose time or answer is out of proportion to what they are given: a few of them in one statement can keep every
 * replica busy for days, or take all of its memory. Every other function of this SQLite that can stand in a write takes one
 * pass over its arguments, and answers with about as much (`test/store/sql-check.test.ts` holds the list complete).
 */
const COSTLY: ReadonlySet<string> = new Set([
  // One pass over the second argument for each character of the first.
  ..."glob instr like match regexp replace".split(" "),
  // An answer of any length, or one that doubles each time it is quoted again.
  ..."concat_ws format json_array json_array_insert json_insert json_object".split(" "),
  ..."json_patch json_pretty json_quote json_remove json_replace json_set printf unistr_quote".split(" "),
  ..."jsonb_array jsonb_array_insert jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set".split(
    " ",
  ),
]);

/** Costly only around another call: quoted once, an argument stays in proportion. Or with a second argument, a set of characters. */
const COSTLY_AROUND_MORE: ReadonlySet<string> = new Set(["hex", "ltrim", "quote", "rtrim", "trim", "unhex"]);

/** Functions that answer with as many bytes as they are told. */
const MAKES_BYTES: ReadonlySet<string> = new Set(["randomblob", "zeroblob"]);
/** What they may be told for an identifier or a key. */
const MADE_BYTES_MAX = 1024;

const COMPARES_WITH_PATTERN: ReadonlySet<Keyword> = new Set(["GLOB", "LIKE", "MATCH", "REGEXP"]);
/** A pattern that is written out and no longer than this costs a pass over the text and no more. */
const PATTERN_LENGTH_MAX = 64;

/** SQLite's own limit: it takes no statement with more. */
const PARAMETERS_MAX = 32_766;
/** `?1` or `:name` again and again makes a large text of a small one. */
const PARAMETER_USES_MAX = 16;

/**
 * True if an expression among `tokens` may cost far more than its text, its parameters and the values that it reads. On the safe
 * side: a column or a type with the name of such a function is taken for it.
 */
export function hasCostlyExpression(tokens: SqlTokens): boolean {
  for (let at = 0; at < tokens.length; at++) {
    if (isCostlyCall(tokens, at) || isCostlyMatch(tokens, at)) return true;
  }
  return countParameterUses(tokens) > PARAMETER_USES_MAX;
}

/**
 * How many `||` there are: each copies all that stands before it. None if all are between values that are written out: SQLite joins
 * those once.
 */
export function countConcatenations(tokens: SqlTokens): number {
  let [count, isOfLiterals] = [0, true];
  for (let at = 0; at < tokens.length; at++) {
    if (!tokens.isOperator(at, "|") || !tokens.isOperator(at + 1, "|")) continue;
    count += 1;
    isOfLiterals &&= isLiteral(tokens, at - 1) && isLiteral(tokens, at + 2);
  }
  return isOfLiterals ? 0 : count;
}

function isLiteral(tokens: SqlTokens, at: number): boolean {
  const kind = tokens.kind(at);
  return kind === "string" || kind === "literal";
}

function isCostlyCall(tokens: SqlTokens, at: number): boolean {
  if (!tokens.isOperator(at + 1, "(") || !tokens.isName(at)) return false;
  const name = tokens.text(at).toLowerCase();
  if (MAKES_BYTES.has(name)) return !makesFewBytes(tokens, at);
  if (!COSTLY_AROUND_MORE.has(name)) return COSTLY.has(name);
  const makesBytes = tokens.isName(at + 2) && MAKES_BYTES.has(tokens.text(at + 2).toLowerCase());
  if (makesBytes) return !tokens.isOperator(at + 6, ")");
  return !tokens.isOperator(at + 3, ")");
}

/** `randomblob(16)` and the like. */
function makesFewBytes(tokens: SqlTokens, at: number): boolean {
  const bytes = tokens.text(at + 2);
  const isNumber =
    tokens.kind(at + 2) === "literal" && /^\d{1,4}$/.test(bytes) && Number(bytes) <= MADE_BYTES_MAX;
  return isNumber && tokens.isOperator(at + 3, ")");
}

/** An operator that compares with a pattern, unless that is written out and short. */
function isCostlyMatch(tokens: SqlTokens, at: number): boolean {
  const keyword = tokens.keyword(at);
  if (keyword === "" || !COMPARES_WITH_PATTERN.has(keyword)) return false;
  const isShort = tokens.kind(at + 1) === "string" && tokens.text(at + 1).length <= PATTERN_LENGTH_MAX;
  return !isShort || tokens.isOperator(at + 2, "|");
}

/** How often the parameter is used that is used most: 1 where there is none. Beyond `PARAMETER_USES_MAX` it is not counted. */
export function countParameterUses(tokens: SqlTokens): number {
  const uses = new Map<string | number, number>();
  let most = 1;
  for (let at = 0; at < tokens.length; at++) {
    if (!tokens.isParameter(at)) continue;
    const parameter = tokens.text(at);
    if (parameter === "?") continue;
    // ?1 and ?01 are one.
    const key = parameter.startsWith("?") ? Number(parameter.slice(1)) : parameter;
    const count = (uses.get(key) ?? 0) + 1;
    most = Math.max(most, count);
    uses.set(key, count);
    if (most > PARAMETER_USES_MAX || uses.size > PARAMETERS_MAX) break;
  }
  return most;
}
