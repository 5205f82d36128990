import { mapEach } from "./map-each.ts";
import type { CommandResult, SqlValue, StatementResult } from "./sql-types.ts";
import { TextPieces } from "./text-pieces.ts";
import { type JsonValue, writeJsonTo } from "./write-json.ts";

/** How a client asked for the answer. */
export interface ResultFormat {
  /** Rows as objects by column name instead of arrays. */
  readonly associative: boolean;
  /** BLOBs as arrays of bytes instead of base64 text. */
  readonly blobArray: boolean;
  readonly pretty: boolean;
  /** How long the request took; undefined unless the client asked. */
  readonly seconds: number | undefined;
}

/**
 * rqlite's answer: `{"results": [...]}`, one object per statement. Like rqlite's it leaves out what is zero or
 * empty, and a failed statement is `{"error": ...}`; the stable `code` beside it is ours.
 */
export function encodeResults(results: CommandResult, format: ResultFormat): TextPieces {
  const body = {
    results: mapEach(results, (result) => encodeResult(result, format)),
    time: format.seconds,
  };
  const text = new TextPieces();
  writeJsonTo(text, body, format.pretty ? 4 : 0);
  return text;
}

function encodeResult(result: StatementResult, format: ResultFormat): JsonValue {
  switch (result.kind) {
    case "error":
      return { error: result.message, code: result.code };
    case "changed": {
      const changed = {
        last_insert_id: unlessZero(result.lastInsertId),
        rows_affected: unlessZero(result.rowsAffected),
      };
      return format.associative ? { ...changed, rows: null } : changed;
    }
    case "rows": {
      const cellsOf = (row: readonly SqlValue[]): readonly JsonValue[] =>
        row.map((value) => encodeValue(value, format));
      if (!format.associative) {
        return {
          columns: result.columns,
          types: result.types,
          values: result.values.length > 0 ? mapEach(result.values, cellsOf) : undefined,
        };
      }
      const byColumn = (cells: readonly JsonValue[]): JsonValue =>
        Object.fromEntries(result.columns.map((column, index) => [column, cells[index] ?? null]));
      return {
        types: byColumn(result.types),
        rows: mapEach(result.values, (row) => byColumn(cellsOf(row))),
      };
    }
    case "session":
      return { session: result.id };
    case "objects":
      return { revision: result.revision, uids: result.uids };
  }
}

function encodeValue(value: SqlValue, { blobArray }: ResultFormat): JsonValue {
  if (!(value instanceof Uint8Array)) return value;
  return blobArray ? Array.from(value) : Buffer.from(value).toString("base64");
}

function unlessZero(count: number | bigint): number | bigint | undefined {
  return Number(count) === 0 ? undefined : count;
}
