import type { Keyword } from "./sql-keywords.ts";
import type { SqlTokens } from "./sql-tokens.ts";
import { tokenizeSql } from "./tokenize-sql.ts";

/** What the tokens of a statement tell about it, without knowing the schema. */
export interface SqlShape {
  /** Of the first statement in the text, without EXPLAIN and without the `;`. */
  readonly tokens: SqlTokens;
  /** Of the whole text. */
  readonly tokenCount: number;
  /** True if another statement follows. */
  readonly hasSecond: boolean;
  readonly isExplain: boolean;
  /**
   * The keyword that says what is done: that behind the common table expressions of WITH, REPLACE for itself; "" if it begins
   * with something else.
   */
  readonly verb: Keyword | "";
}

/** Of no more than the first `countMax` tokens. */
export function readSqlShape(sql: string, countMax?: number): SqlShape {
  const all = tokenizeSql(sql, countMax);
  const rest = all.slice(skipSemicolons(all, 0));
  const explained = explainLength(rest);
  const end = findEnd(rest, explained);
  const tokens = rest.slice(explained, end);
  return {
    tokens,
    tokenCount: all.length,
    hasSecond: skipSemicolons(rest, end) < rest.length,
    isExplain: explained > 0,
    verb: findVerb(tokens),
  };
}

function skipSemicolons(tokens: SqlTokens, start: number): number {
  let at = start;
  while (tokens.isOperator(at, ";")) at += 1;
  return at;
}

const MAIN_VERBS: ReadonlySet<Keyword | ""> = new Set([
  "SELECT",
  "VALUES",
  "INSERT",
  "REPLACE",
  "UPDATE",
  "DELETE",
]);

function findVerb(tokens: SqlTokens): Keyword | "" {
  const first = tokens.keyword(0);
  if (first !== "WITH") return first;
  let depth = 0;
  for (let at = 0; at < tokens.length; at++) {
    if (tokens.isOperator(at, "(")) depth += 1;
    else if (tokens.isOperator(at, ")")) depth -= 1;
    else if (depth === 0 && MAIN_VERBS.has(tokens.keyword(at))) return tokens.keyword(at);
  }
  return first;
}

/** How many tokens EXPLAIN or EXPLAIN QUERY PLAN takes; 0 without it. */
function explainLength(tokens: SqlTokens): number {
  if (tokens.keyword(0) !== "EXPLAIN") return 0;
  return tokens.keyword(1) === "QUERY" && tokens.keyword(2) === "PLAN" ? 3 : 1;
}

/**
 * Where the first statement ends: at its `;`. The body of CREATE TRIGGER has `;` inside, and ends with an END that
 * stands right after one (the rule of sqlite3_complete).
 */
function findEnd(tokens: SqlTokens, start: number): number {
  let isInBody = false;
  const mayHaveBody = isCreateTrigger(tokens, start);
  for (let at = 0; at < tokens.length; at++) {
    if (mayHaveBody && tokens.keyword(at) === "BEGIN") isInBody = true;
    if (!tokens.isOperator(at, ";")) continue;
    const isBodyEnd = tokens.keyword(at - 1) === "END" && tokens.isOperator(at - 2, ";");
    if (!isInBody || isBodyEnd) return at;
  }
  return tokens.length;
}

function isCreateTrigger(tokens: SqlTokens, start: number): boolean {
  if (tokens.keyword(start) !== "CREATE") return false;
  const second = tokens.keyword(start + 1);
  return tokens.keyword(start + (second === "TEMP" || second === "TEMPORARY" ? 2 : 1)) === "TRIGGER";
}
