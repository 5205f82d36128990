import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { Command, SqlParameters, SqlStatement, SqlValue } from "./types.ts";

/**
 * The bytes of a command in the Raft log, CBOR arrays:
 *
 *     [format = 1, kind = 1 (sql), timeMs, seed, transaction ? 1 : 0, [sql, parameters]...]
 *
 * `parameters` is an array (by position), a map (by name), or absent if there are none. A command is in the
 * log for ever, so a number here never changes its meaning.
 *
 * Values keep their type. JavaScript has one number type: an integer-valued number within 2^53 (1.0 and -0 too)
 * is an INTEGER, every other number a REAL, NaN a NULL (SQLite knows none). A BigInt is an INTEGER within 64
 * bits. Text may hold NUL; a lone surrogate becomes U+FFFD.
 */
const FORMAT = 1;
const KIND_SQL = 1;

const SEED_BYTES = 16;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Throws a `TrivetError` `malformed-command` for a value that SQLite cannot hold. */
export function encodeCommand(command: Command): Uint8Array {
  const statements = command.statements.map(({ sql, parameters }) => {
    requireThat(areParameters(parameters), "a parameter is not null, a number, 64-bit integer, text or blob");
    return isEmpty(parameters) ? [sql] : [sql, parameters];
  });
  const { timeMs, seed, transaction } = command;
  requireThat(Number.isSafeInteger(timeMs) && timeMs >= 0, "its time is not a whole number of milliseconds");
  requireThat(seed.byteLength === SEED_BYTES, `its seed is not ${SEED_BYTES} bytes`);
  return encodeCbor([FORMAT, KIND_SQL, timeMs, seed, transaction ? 1 : 0, ...statements]);
}

/** Throws a `TrivetError` `malformed-command` (or `malformed-cbor`) for anything `encodeCommand` did not make. */
export function decodeCommand(bytes: Uint8Array): Command {
  const fields = decodeCbor(bytes);
  requireThat(Array.isArray(fields), "it is not an array");
  const [format, kind, timeMs, seed, transaction, ...statements]: readonly unknown[] = fields;
  requireThat(format === FORMAT, `its format is not ${FORMAT}: a newer version wrote it`);
  requireThat(kind === KIND_SQL, "its kind is unknown: a newer version wrote it");
  requireThat(typeof timeMs === "number" && Number.isSafeInteger(timeMs) && timeMs >= 0, "its time is wrong");
  requireThat(seed instanceof Uint8Array && seed.byteLength === SEED_BYTES, "its seed is wrong");
  requireThat(transaction === 0 || transaction === 1, "its transaction flag is wrong");
  return {
    kind: "sql",
    timeMs,
    seed,
    transaction: transaction === 1,
    statements: statements.map(decodeStatement),
  };
}

function decodeStatement(statement: unknown): SqlStatement {
  requireThat(Array.isArray(statement) && statement.length <= 2, "a statement is not an array of one or two");
  const [sql, parameters = []]: readonly unknown[] = statement;
  requireThat(typeof sql === "string", "a statement's SQL is not text");
  requireThat(areParameters(parameters), "a parameter is not null, a number, 64-bit integer, text or blob");
  return { sql, parameters };
}

function areParameters(value: unknown): value is SqlParameters {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return Object.values(value).every(isSqlValue);
}

/** True if SQLite can hold `value`. */
export function isSqlValue(value: unknown): value is SqlValue {
  if (typeof value === "bigint") return value >= INT64_MIN && value <= INT64_MAX;
  if (typeof value === "number" || typeof value === "string" || value === null) return true;
  return value instanceof Uint8Array;
}

function isEmpty(parameters: SqlParameters): boolean {
  return Array.isArray(parameters) && parameters.length === 0;
}

function requireThat(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new TrivetError("malformed-command", `The command cannot be used: ${problem}.`);
}
