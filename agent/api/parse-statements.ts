import { TrivetError } from "../platform/trivet-error.ts";
import { parseJson } from "./parse-json.ts";
import type { SqlParameters, SqlStatement, SqlValue } from "./sql-types.ts";

/** More in one request is surely a mistake, and would hold up everybody else's writes. */
const STATEMENTS_MAX = 10_000;

/**
 * The statements of a request body in rqlite's form: an array whose items are a statement's text, or an array of
 * text and parameters: `["INSERT ... VALUES(?, ?)", 1, "a"]` or `["INSERT ... VALUES(:a)", {"a": 1}]`.
 *
 * A boolean becomes 0 or 1 (SQLite has none), an array of bytes a BLOB. Throws `malformed-json`, `wrong-shape`.
 */
export function parseStatements(body: Uint8Array): readonly SqlStatement[] {
  const value = parseJson(decodeUtf8(body));
  if (!Array.isArray(value) || value.length === 0) {
    throw wrongShape("the body", 'it must be a JSON array of statements, such as ["SELECT 1"]');
  }
  if (value.length > STATEMENTS_MAX) {
    throw wrongShape("the body", `it may hold at most ${STATEMENTS_MAX} statements, found ${value.length}`);
  }
  return value.map((item, index) => parseStatement(item, `statement ${index + 1}`));
}

function parseStatement(item: unknown, where: string): SqlStatement {
  if (typeof item === "string") return { sql: item, parameters: [] };
  if (!Array.isArray(item) || typeof item[0] !== "string") {
    throw wrongShape(where, "it must be text, or an array of text and parameters");
  }
  const [sql, ...parameters] = item;
  return { sql, parameters: parseParameters(parameters, where) };
}

function parseParameters(found: readonly unknown[], where: string): SqlParameters {
  const named = found.filter(isNamed);
  if (named.length === 0)
    return found.map((value, index) => parseValue(value, `${where}, parameter ${index + 1}`));
  if (named.length < found.length) {
    throw wrongShape(where, "parameters must be all by position or all by name, not mixed");
  }
  const entries = named.flatMap((part) => Object.entries(part));
  return Object.fromEntries(
    entries.map(([name, value]) => [
      bareName(name),
      parseValue(value, `${where}, parameter ${JSON.stringify(name)}`),
    ]),
  );
}

/** SQLite takes `:a`, `@a` and `$a`; so does rqlite, with or without the sign. */
function bareName(name: string): string {
  return /^[:@$]/.test(name) ? name.slice(1) : name;
}

function parseValue(found: unknown, where: string): SqlValue {
  switch (typeof found) {
    case "string":
    case "bigint":
      return found;
    case "boolean":
      return found ? 1 : 0;
    case "number":
      if (!Number.isFinite(found)) throw wrongShape(where, "the number is too large for a double");
      return found;
    default:
      if (found === null) return null;
      if (Array.isArray(found) && found.every(isByte)) return Uint8Array.from(found);
      throw wrongShape(where, "it must be null, a boolean, a number, text or an array of bytes (0 to 255)");
  }
}

function isByte(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;
}

function isNamed(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function decodeUtf8(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    throw new TrivetError("malformed-json", "The body is not UTF-8, as JSON must be.", { cause });
  }
}

function wrongShape(where: string, expected: string): TrivetError {
  return new TrivetError("wrong-shape", `Cannot take ${where}: ${expected}.`);
}
