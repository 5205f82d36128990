import { type SqlToken, tokenizeSql } from "./sql-tokens.ts";

/** What the tokens of a statement tell about it, without knowing the schema. */
export interface SqlShape {
  /** Of the first statement in the text, without EXPLAIN and without the `;`. */
  readonly tokens: readonly SqlToken[];
  /** True if another statement follows. */
  readonly hasSecond: boolean;
  readonly isExplain: boolean;
  /**
   * The keyword that says what is done, in upper case: that behind the common table expressions of WITH, REPLACE
   * for itself; "" if it begins with something else.
   */
  readonly verb: string;
}

export function readSqlShape(sql: string): SqlShape {
  const all = tokenizeSql(sql);
  const start = all.findIndex((token) => !isOperator(token, ";"));
  const rest = start < 0 ? [] : all.slice(start);
  const explained = explainLength(rest);
  const end = findEnd(rest, explained);
  const tokens = rest.slice(explained, end);
  return {
    tokens,
    hasSecond: rest.slice(end).some((token) => !isOperator(token, ";")),
    isExplain: explained > 0,
    verb: findVerb(tokens),
  };
}

const MAIN_VERBS: ReadonlySet<string> = new Set([
  "SELECT",
  "VALUES",
  "INSERT",
  "REPLACE",
  "UPDATE",
  "DELETE",
]);

function findVerb(tokens: readonly SqlToken[]): string {
  const first = keyword(tokens[0]);
  if (first !== "WITH") return first;
  let depth = 0;
  for (const token of tokens) {
    if (isOperator(token, "(")) depth += 1;
    else if (isOperator(token, ")")) depth -= 1;
    else if (depth === 0 && MAIN_VERBS.has(keyword(token))) return keyword(token);
  }
  return first;
}

/** How many tokens EXPLAIN or EXPLAIN QUERY PLAN takes; 0 without it. */
function explainLength(tokens: readonly SqlToken[]): number {
  if (keyword(tokens[0]) !== "EXPLAIN") return 0;
  return keyword(tokens[1]) === "QUERY" && keyword(tokens[2]) === "PLAN" ? 3 : 1;
}

/**
 * Where the first statement ends: at its `;`. The body of CREATE TRIGGER has `;` inside, and ends with an END that
 * stands right after one (the rule of sqlite3_complete).
 */
function findEnd(tokens: readonly SqlToken[], start: number): number {
  let isInBody = false;
  const mayHaveBody = isCreateTrigger(tokens, start);
  for (const [at, token] of tokens.entries()) {
    if (mayHaveBody && keyword(token) === "BEGIN") isInBody = true;
    if (!isOperator(token, ";")) continue;
    const isBodyEnd = keyword(tokens[at - 1]) === "END" && isOperator(tokens[at - 2], ";");
    if (!isInBody || isBodyEnd) return at;
  }
  return tokens.length;
}

function isCreateTrigger(tokens: readonly SqlToken[], start: number): boolean {
  if (keyword(tokens[start]) !== "CREATE") return false;
  const isTemporary = ["TEMP", "TEMPORARY"].includes(keyword(tokens[start + 1]));
  return keyword(tokens[start + (isTemporary ? 2 : 1)]) === "TRIGGER";
}

/** The upper-case text of an unquoted word; "" for anything else. */
export function keyword(token: SqlToken | undefined): string {
  return token?.kind === "word" ? token.text.toUpperCase() : "";
}

export function isOperator(token: SqlToken | undefined, operator: string): boolean {
  return token?.kind === "operator" && token.text === operator;
}
