import { requireField } from "./malformed-command.ts";
import type { SqlParameters, SqlStatement, SqlValue } from "./types.ts";

/**
 * A statement within a command: `[sql, parameters]`, parameters being an array (by position), a map (by name), or absent
 * if there are none.
 *
 * Values keep their type. JavaScript has one number type: an integer-valued number within 2^53 (1.0 and -0 too)
 * is an INTEGER, every other number a REAL, NaN a NULL (SQLite knows none). A BigInt is an INTEGER within 64
 * bits. Text may hold NUL; a lone surrogate becomes U+FFFD.
 */
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

export function encodeSqlStatement({ sql, parameters }: SqlStatement): unknown {
  requireField(areParameters(parameters), "a parameter is not null, a number, 64-bit integer, text or blob");
  return isEmpty(parameters) ? [sql] : [sql, parameters];
}

export function decodeSqlStatement(statement: unknown): SqlStatement {
  requireField(
    Array.isArray(statement) && statement.length <= 2,
    "a statement is not an array of one or two",
  );
  const [sql, parameters = []]: readonly unknown[] = statement;
  requireField(typeof sql === "string", "a statement's SQL is not text");
  requireField(areParameters(parameters), "a parameter is not null, a number, 64-bit integer, text or blob");
  return { sql, parameters };
}

/** True if SQLite can hold `value`. */
export function isSqlValue(value: unknown): value is SqlValue {
  if (typeof value === "bigint") return value >= INT64_MIN && value <= INT64_MAX;
  if (typeof value === "number" || typeof value === "string" || value === null) return true;
  return value instanceof Uint8Array;
}

function areParameters(value: unknown): value is SqlParameters {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return Object.values(value).every(isSqlValue);
}

function isEmpty(parameters: SqlParameters): boolean {
  return Array.isArray(parameters) && parameters.length === 0;
}
