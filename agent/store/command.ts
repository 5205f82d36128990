import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { isWholeNumber, malformedCommand, requireField } from "./malformed-command.ts";
import { decodeObjectWrite, encodeObjectWrite } from "./object-write-codec.ts";
import { decodeSqlStatement, encodeSqlStatement } from "./sql-statement-codec.ts";
import type { Command, SessionGuard } from "./types.ts";

/**
 * The bytes of a command in the Raft log, CBOR arrays:
 *
 *     [format = 1, kind = 1 (sql), timeMs, seed, transaction ? 1 : 0, ...statements]
 *     [format = 1, kind = 2 (open-session), timeMs]
 *     [format = 1, kind = 3 (objects), timeMs, ...writes]
 *     [format = 1, kind = 4 (sql of a session), session id, sequence, ...fields of kind 1 from timeMs]
 *     [format = 1, kind = 5 (objects of a session), session id, sequence, ...fields of kind 3 from timeMs]
 *
 * A command is in the log for ever, so a number here never changes its meaning.
 */
const FORMAT = 1;
const KIND_SQL = 1;
const KIND_OPEN_SESSION = 2;
const KIND_OBJECTS = 3;
const KIND_GUARDED_SQL = 4;
const KIND_GUARDED_OBJECTS = 5;

const SEED_BYTES = 16;

/** Throws a `TrivetError` `malformed-command` for a value that SQLite cannot hold. */
export function encodeCommand(command: Command): Uint8Array {
  requireField(isWholeNumber(command.timeMs), "its time is not a whole number of milliseconds");
  switch (command.kind) {
    case "sql": {
      const { timeMs, seed, transaction, session } = command;
      requireField(seed.byteLength === SEED_BYTES, `its seed is not ${SEED_BYTES} bytes`);
      const statements = command.statements.map(encodeSqlStatement);
      const fields = [timeMs, seed, transaction ? 1 : 0, ...statements];
      return encodeFields(KIND_SQL, KIND_GUARDED_SQL, session, fields);
    }
    case "open-session":
      return encodeCbor([FORMAT, KIND_OPEN_SESSION, command.timeMs]);
    case "objects": {
      const fields = [command.timeMs, ...command.writes.map(encodeObjectWrite)];
      return encodeFields(KIND_OBJECTS, KIND_GUARDED_OBJECTS, command.session, fields);
    }
  }
}

/** Throws a `TrivetError` `malformed-command` (or `malformed-cbor`) for anything `encodeCommand` did not make. */
export function decodeCommand(bytes: Uint8Array): Command {
  const fields = decodeCbor(bytes);
  requireField(Array.isArray(fields), "it is not an array");
  const [format, kind, ...rest]: readonly unknown[] = fields;
  requireField(format === FORMAT, `its format is not ${FORMAT}: a newer version wrote it`);
  switch (kind) {
    case KIND_SQL:
      return decodeSql(null, rest);
    case KIND_OPEN_SESSION: {
      const [timeMs] = rest;
      requireField(isWholeNumber(timeMs) && rest.length === 1, "its time is wrong");
      return { kind: "open-session", timeMs };
    }
    case KIND_OBJECTS:
      return decodeObjects(null, rest);
    case KIND_GUARDED_SQL:
      return decodeSql(decodeGuard(rest), rest.slice(2));
    case KIND_GUARDED_OBJECTS:
      return decodeObjects(decodeGuard(rest), rest.slice(2));
    default:
      throw malformedCommand("its kind is unknown: a newer version wrote it");
  }
}

function encodeFields(
  kind: number,
  guardedKind: number,
  session: SessionGuard | null,
  fields: readonly unknown[],
): Uint8Array {
  if (session === null) return encodeCbor([FORMAT, kind, ...fields]);
  requireField(isGuard(session), "its session or sequence is not a whole number from 1");
  return encodeCbor([FORMAT, guardedKind, session.id, session.sequence, ...fields]);
}

function decodeSql(session: SessionGuard | null, fields: readonly unknown[]): Command {
  const [timeMs, seed, transaction, ...statements] = fields;
  requireField(isWholeNumber(timeMs), "its time is wrong");
  requireField(seed instanceof Uint8Array && seed.byteLength === SEED_BYTES, "its seed is wrong");
  requireField(transaction === 0 || transaction === 1, "its transaction flag is wrong");
  return {
    kind: "sql",
    timeMs,
    session,
    seed,
    transaction: transaction === 1,
    statements: statements.map(decodeSqlStatement),
  };
}

function decodeObjects(session: SessionGuard | null, fields: readonly unknown[]): Command {
  const [timeMs, ...writes] = fields;
  requireField(isWholeNumber(timeMs), "its time is wrong");
  return { kind: "objects", timeMs, session, writes: writes.map(decodeObjectWrite) };
}

function decodeGuard([id, sequence]: readonly unknown[]): SessionGuard {
  requireField(isWholeNumber(id) && isWholeNumber(sequence), "its session is wrong");
  const guard = { id, sequence };
  requireField(isGuard(guard), "its session is wrong");
  return guard;
}

function isGuard({ id, sequence }: SessionGuard): boolean {
  return isWholeNumber(id) && isWholeNumber(sequence) && id > 0 && sequence > 0;
}
