import { countParameterUses } from "./sql-costs.ts";
import type { SqlShape } from "./sql-shape.ts";
import type { SqlTokens } from "./sql-tokens.ts";

/**
 * Which rows that are there a statement changes:
 *
 *     none      SELECT, CREATE TABLE; an INSERT only adds
 *     replaced  those that the new rows meet: REPLACE
 *     upserted  those that the new rows meet: ON CONFLICT DO UPDATE
 *     updated   those that its WHERE finds
 *     deleted   those that its WHERE finds
 *     all       possibly all of the file: an index, another schema
 */
export type WriteReach = "none" | "replaced" | "upserted" | "updated" | "deleted" | "all";

/** What a statement may write, as far as its tokens tell; `mayWriteMuch` puts it together with what is in the file. */
export interface WriteShape {
  readonly reach: WriteReach;
  /** That is written to, in small letters; "" if there is none, or it cannot be told. */
  readonly table: string;
  /** That it adds. */
  readonly rows: number;
  /** Columns, in small letters, whose value its WHERE tells: the rows that it finds have these values. */
  readonly equated: readonly string[];
  /** Of the text. */
  readonly sqlLength: number;
  /** How often one and the same parameter is used. */
  readonly parameterUses: number;
  /** Of texts that are written out in what changed rows get: each of them may get all. */
  readonly setLength: number;
  /** True if changed rows may get parameters. */
  readonly setsParameters: boolean;
  /** Of columns in what changed rows get, which may be copied from one into another. */
  readonly setNames: number;
}

const WRITES_NOTHING: WriteShape = {
  reach: "none",
  table: "",
  rows: 0,
  equated: [],
  sqlLength: 0,
  parameterUses: 1,
  setLength: 0,
  setsParameters: false,
  setNames: 0,
};

/** Says nothing of rows that come from a SELECT: such a write is tried out anyway. */
export function readWriteShape(shape: SqlShape, sqlLength: number): WriteShape {
  const { tokens, verb, isExplain } = shape;
  if (isExplain) return WRITES_NOTHING;
  switch (verb) {
    case "INSERT":
    case "REPLACE":
      return readInsert(tokens, sqlLength);
    case "UPDATE":
    case "DELETE":
      return readChange(tokens, sqlLength);
    case "CREATE": {
      const isIndex = tokens.keyword(1) === "INDEX" || tokens.keyword(2) === "INDEX";
      return { ...WRITES_NOTHING, sqlLength, ...(isIndex && { reach: "all", setNames: 1 }) };
    }
    case "SELECT":
    case "VALUES":
    case "PRAGMA":
      return WRITES_NOTHING;
    default:
      return { ...WRITES_NOTHING, sqlLength, reach: "all" };
  }
}

function readInsert(tokens: SqlTokens, sqlLength: number): WriteShape {
  const change = tokens.findIndex((at) => tokens.keyword(at) === "UPDATE");
  const end = change < 0 ? tokens.length : change;
  const replaces = tokens.keyword(0) === "REPLACE" || tokens.keyword(2) === "REPLACE";
  return {
    ...WRITES_NOTHING,
    ...(change >= 0 && readSet(tokens, change, tokens.length)),
    reach: replaces ? "replaced" : change >= 0 ? "upserted" : "none",
    table: nameBehind(tokens, "INTO"),
    rows: countRows(tokens, end),
    sqlLength,
    parameterUses: countParameterUses(tokens),
  };
}

/** The lists of values; 1 for DEFAULT VALUES. */
function countRows(tokens: SqlTokens, end: number): number {
  let [depth, rows] = [0, 0];
  for (let at = tokens.findIndex((each) => tokens.keyword(each) === "VALUES") + 1; at < end; at++) {
    if (tokens.isOperator(at, ")")) depth -= 1;
    if (!tokens.isOperator(at, "(")) continue;
    // An upsert has another list behind ON CONFLICT, which counts as a row too much.
    if (depth === 0) rows += 1;
    depth += 1;
  }
  return Math.max(1, rows);
}

function readChange(tokens: SqlTokens, sqlLength: number): WriteShape {
  const isDelete = tokens.keyword(0) === "DELETE";
  const where = findOutside(tokens, "WHERE");
  // It may take other rows away than it finds.
  const replaces = tokens.keyword(2) === "REPLACE";
  return {
    ...WRITES_NOTHING,
    ...(!isDelete && readSet(tokens, 0, where < 0 ? tokens.length : where)),
    reach: isDelete ? "deleted" : "updated",
    table: isDelete ? nameBehind(tokens, "FROM") : nameOfUpdate(tokens),
    equated: where < 0 || replaces ? [] : readEquated(tokens.slice(where + 1)),
    sqlLength,
    parameterUses: countParameterUses(tokens),
  };
}

/** A number takes no more than the column that it is put into, or the row that has it. */
const NUMBER_LENGTH_MAX = 20;

/** What stands between UPDATE and `end`; names that are not of columns count as well. */
function readSet(
  tokens: SqlTokens,
  start: number,
  end: number,
): Pick<WriteShape, "setLength" | "setsParameters" | "setNames"> {
  let [setLength, setNames, setsParameters] = [0, 0, false];
  const set = tokens.slice(start).findIndex((at) => tokens.keyword(start + at) === "SET");
  for (let at = start + set + 1; at < end; at++) {
    const kind = tokens.kind(at);
    const length = kind === "string" || kind === "literal" ? tokens.text(at).length : 0;
    if (kind === "string" || length > NUMBER_LENGTH_MAX) setLength += length;
    if (tokens.isParameter(at)) setsParameters = true;
    if (tokens.isName(at)) setNames += 1;
  }
  return { setLength, setsParameters, setNames };
}

function nameBehind(tokens: SqlTokens, keyword: "INTO" | "FROM"): string {
  return nameAt(tokens, tokens.findIndex((at) => tokens.keyword(at) === keyword) + 1);
}

/** UPDATE OR IGNORE t: the word behind OR is its own. */
function nameOfUpdate(tokens: SqlTokens): string {
  return nameAt(tokens, tokens.keyword(1) === "OR" ? 3 : 1);
}

/** "" with a schema before it: there is but one. */
function nameAt(tokens: SqlTokens, at: number): string {
  if (tokens.isOperator(at + 1, ".")) return "";
  return tokens.text(at).toLowerCase();
}

/** The keyword outside of any parentheses; -1 if it is not there. */
function findOutside(tokens: SqlTokens, keyword: "WHERE"): number {
  let depth = 0;
  for (let at = 0; at < tokens.length; at++) {
    if (tokens.isOperator(at, "(")) depth += 1;
    else if (tokens.isOperator(at, ")")) depth -= 1;
    else if (depth === 0 && tokens.keyword(at) === keyword) return at;
  }
  return -1;
}

/**
 * The columns of `column = value` in a condition that is nothing but conditions joined by AND. On the safe side: none if anything in it
 * might bind otherwise.
 */
function readEquated(condition: SqlTokens): readonly string[] {
  const equated: string[] = [];
  let [start, depth] = [0, 0];
  for (let at = 0; at <= condition.length; at++) {
    if (condition.isOperator(at, "(")) depth += 1;
    if (condition.isOperator(at, ")")) depth -= 1;
    if (depth > 0) continue;
    const keyword = condition.keyword(at);
    if (keyword === "OR" || keyword === "BETWEEN" || keyword === "CASE") return [];
    const isEnd = at === condition.length || END_OF_CONDITION.has(keyword);
    if (!isEnd && keyword !== "AND") continue;
    const column = equatedColumn(condition.slice(start, at));
    if (column !== "") equated.push(column);
    if (isEnd) break;
    start = at + 1;
  }
  return equated;
}

const END_OF_CONDITION: ReadonlySet<string> = new Set(["ORDER", "LIMIT", "RETURNING"]);

/** `column = value` or `table.column = value`, or `==`, and nothing else; "" for any other condition. */
function equatedColumn(tokens: SqlTokens): string {
  const at = tokens.isOperator(1, ".") ? 2 : 0;
  if (!tokens.isName(at) || !tokens.isOperator(at + 1, "=")) return "";
  const value = tokens.isOperator(at + 2, "=") ? at + 3 : at + 2;
  const kind = tokens.kind(value);
  const isValue = kind === "literal" || kind === "string" || kind === "parameter";
  return isValue && tokens.length === value + 1 ? tokens.text(at).toLowerCase() : "";
}
