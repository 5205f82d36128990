import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { decodeResults, encodeResults } from "../store/result-codec.ts";
import type { LogPosition, SqlParameters, SqlStatement, SqlValue } from "../store/types.ts";
import type { Applied } from "./proposals.ts";
import { asArray, asBoolean, asBytes, asInteger, asString, malformed } from "./wire-fields.ts";

/** What nodes ask the leader for, and its answers, as CBOR. Decoders throw `malformed-datagram`. */

export interface ExecuteRequest {
  readonly statements: readonly SqlStatement[];
  readonly transaction: boolean;
}

/** `[transaction, [[sql, parameters], ...]]` */
export function encodeExecute(request: ExecuteRequest): Uint8Array {
  const statements = request.statements.map(({ sql, parameters }) => [sql, parameters]);
  return encodeCbor([request.transaction, statements]);
}

export function decodeExecute(bytes: Uint8Array): ExecuteRequest {
  const [transaction, statements] = asArray(decodeCbor(bytes));
  return { transaction: asBoolean(transaction), statements: asArray(statements).map(statementFromWire) };
}

/** `[index, term, results]`, the results as bytes of their own (`encodeResults`). */
export function encodeApplied({ position, result }: Applied): Uint8Array {
  return encodeCbor([position.index, position.term, encodeResults(result)]);
}

export function decodeApplied(bytes: Uint8Array): Applied {
  const [index, term, result] = asArray(decodeCbor(bytes));
  const position = { index: asInteger(index), term: asInteger(term) };
  return { position, result: decodeResults(asBytes(result)) };
}

/** `[index, term]` */
export function encodePosition({ index, term }: LogPosition): Uint8Array {
  return encodeCbor([index, term]);
}

export function decodePosition(bytes: Uint8Array): LogPosition {
  const [index, term] = asArray(decodeCbor(bytes));
  return { index: asInteger(index), term: asInteger(term) };
}

function statementFromWire(wire: unknown): SqlStatement {
  const [sql, parameters] = asArray(wire);
  return { sql: asString(sql), parameters: parametersFromWire(parameters) };
}

function parametersFromWire(wire: unknown): SqlParameters {
  if (Array.isArray(wire)) return wire.map(valueFromWire);
  if (typeof wire !== "object" || wire === null) throw malformed("a list or a map of parameters", wire);
  return Object.fromEntries(Object.entries(wire).map(([name, value]) => [name, valueFromWire(value)]));
}

function valueFromWire(wire: unknown): SqlValue {
  if (wire === null || wire instanceof Uint8Array) return wire;
  if (typeof wire === "number" || typeof wire === "bigint" || typeof wire === "string") return wire;
  throw malformed("an SQL value", wire);
}
