import type { SqlParameters, SqlStatement, SqlValue } from "./types.ts";

/** Bytes of a value as all limits count them: its text (UTF-8) or blob, 8 for a number or NULL. */
export function valueBytes(value: SqlValue): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  return value instanceof Uint8Array ? value.byteLength : 8;
}

/** Bytes of SQL and parameters together. */
export function requestBytes(statements: readonly SqlStatement[]): number {
  return statements.reduce(
    (sum, { sql, parameters }) => sum + Buffer.byteLength(sql) + parameterBytes(parameters),
    0,
  );
}

export function parameterBytes(parameters: SqlParameters): number {
  let bytes = 0;
  for (const value of Object.values<SqlValue>(parameters)) bytes += valueBytes(value);
  return bytes;
}
