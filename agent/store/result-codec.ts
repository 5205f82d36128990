import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { isWholeNumber } from "./malformed-command.ts";
import { isSqlValue } from "./sql-statement-codec.ts";
import type { CommandResult, SqlValue, StatementResult } from "./types.ts";

/**
 * The results of a command as CBOR, an array of
 *
 *     [kind = 1 (rows), columns, types, rows]
 *     [kind = 2 (changed), lastInsertId, rowsAffected]
 *     [kind = 3 (error), code, message]
 *     [kind = 4 (session), id]
 *     [kind = 5 (objects), revision, uids]
 *
 * Equal results have equal bytes on every node. They are hashed, and kept in the database as the answer of a session, so a
 * number here never changes its meaning.
 */
const ROWS = 1;
const CHANGED = 2;
const ERROR = 3;
const SESSION = 4;
const OBJECTS = 5;

export function encodeResults(results: CommandResult): Uint8Array {
  return encodeCbor(results.map(encodeResult));
}

/** Throws a `TrivetError` `malformed-result` (or `malformed-cbor`) for anything `encodeResults` did not make. */
export function decodeResults(bytes: Uint8Array): CommandResult {
  return toArray(decodeCbor(bytes)).map(decodeResult);
}

function encodeResult(result: StatementResult): unknown {
  switch (result.kind) {
    case "rows":
      return [ROWS, result.columns, result.types, result.values];
    case "changed":
      return [CHANGED, result.lastInsertId, result.rowsAffected];
    case "error":
      return [ERROR, result.code, result.message];
    case "session":
      return [SESSION, result.id];
    case "objects":
      return [OBJECTS, result.revision, result.uids];
  }
}

function decodeResult(bytes: unknown): StatementResult {
  const [kind, first, second, third] = toArray(bytes);
  switch (kind) {
    case ROWS: {
      const values = toArray(third).map((row) => toArray(row).map(toSqlValue));
      return { kind: "rows", columns: toTexts(first), types: toTexts(second), values };
    }
    case CHANGED:
      if (typeof first !== "number" && typeof first !== "bigint") throw malformed("a rowid");
      return { kind: "changed", lastInsertId: first, rowsAffected: toWholeNumber(second) };
    case ERROR:
      return { kind: "error", code: toText(first), message: toText(second) };
    case SESSION:
      return { kind: "session", id: toWholeNumber(first) };
    case OBJECTS:
      return { kind: "objects", revision: toWholeNumber(first), uids: toTexts(second) };
    default:
      throw malformed("its kind");
  }
}

function toArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed("a list");
  return value;
}

function toTexts(value: unknown): readonly string[] {
  return toArray(value).map(toText);
}

function toText(value: unknown): string {
  if (typeof value !== "string") throw malformed("a text");
  return value;
}

function toWholeNumber(value: unknown): number {
  if (!isWholeNumber(value)) throw malformed("a number");
  return value;
}

function toSqlValue(value: unknown): SqlValue {
  if (!isSqlValue(value)) throw malformed("a value");
  return value;
}

function malformed(part: string): TrivetError {
  return new TrivetError("malformed-result", `The result cannot be used: ${part} in it is wrong.`);
}
