import { isOperator, keyword } from "./sql-shape.ts";
import type { SqlToken } from "./sql-tokens.ts";

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

/** A pattern that is written out and no longer than this costs a pass over the text and no more. */
const PATTERN_LENGTH_MAX = 64;

/** `?1` or `:name` again and again makes a large text of a small one. */
const PARAMETER_USES_MAX = 16;

/**
 * True if an expression among `tokens` may cost far more than its text, its parameters and the values that it reads. On the safe
 * side: a column or a type with the name of such a function is taken for it.
 */
export function hasCostlyExpression(tokens: readonly SqlToken[]): boolean {
  return (
    repeatsParameter(tokens) || tokens.some((_, at) => isCostlyCall(tokens, at) || isCostlyMatch(tokens, at))
  );
}

function isCostlyCall(tokens: readonly SqlToken[], at: number): boolean {
  const token = tokens[at];
  if ((token?.kind !== "word" && token?.kind !== "name") || !isOperator(tokens[at + 1], "(")) return false;
  const name = token.text.toLowerCase();
  if (MAKES_BYTES.has(name)) return !makesFewBytes(tokens, at);
  if (!COSTLY_AROUND_MORE.has(name)) return COSTLY.has(name);
  const argument = tokens[at + 2];
  const isWord = argument?.kind === "word" || argument?.kind === "name";
  if (isWord && MAKES_BYTES.has(argument.text.toLowerCase())) return !isOperator(tokens[at + 6], ")");
  return !isOperator(tokens[at + 3], ")");
}

/** `randomblob(16)` and the like. */
function makesFewBytes(tokens: readonly SqlToken[], at: number): boolean {
  const bytes = tokens[at + 2];
  const isNumber =
    bytes?.kind === "literal" && /^\d{1,4}$/.test(bytes.text) && Number(bytes.text) <= MADE_BYTES_MAX;
  return isNumber && isOperator(tokens[at + 3], ")");
}

/** An operator that compares with a pattern, unless that is written out and short. */
function isCostlyMatch(tokens: readonly SqlToken[], at: number): boolean {
  if (!["LIKE", "GLOB", "REGEXP", "MATCH"].includes(keyword(tokens[at]))) return false;
  const pattern = tokens[at + 1];
  return (
    pattern?.kind !== "string" || pattern.text.length > PATTERN_LENGTH_MAX || isOperator(tokens[at + 2], "|")
  );
}

function repeatsParameter(tokens: readonly SqlToken[]): boolean {
  const uses = new Map<string, number>();
  for (const { kind, text } of tokens) {
    if (kind !== "literal" || !/^(?:\?\d|[:@#$])/.test(text)) continue;
    const count = (uses.get(text) ?? 0) + 1;
    if (count > PARAMETER_USES_MAX) return true;
    uses.set(text, count);
  }
  return false;
}
