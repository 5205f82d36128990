import { invariant } from "../platform/invariant.ts";
import { VALUE_BYTES_MAX } from "./limits.ts";
import type { PreparedStatement } from "./prepared-statement.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { SQLITE_ERROR, SQLITE_FULL, SQLITE_TOOBIG, SqliteError } from "./sqlite-error.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";

/**
 * Five things that determinism needs and that the build does not export, read and written where they stand in
 * SQLite's memory. Each is found by known values, and each is proved by an experiment before it is used, at every
 * start: with a build that differs the store refuses to open instead of guessing.
 *
 * - How much has been drawn from SQLite's own random generator (random.c: ChaCha20, its state begins with the
 *   constant "expand 32-byte k"). random() and randomblob() are replaced, so that a draw of 8 bytes means that
 *   SQLite chose a rowid at random, which it does once a table holds the largest one.
 * - Violations of deferred foreign keys that wait for COMMIT (`sqlite3.nDeferredCons`). One SQLite transaction
 *   holds many entries, so each entry must answer for its own.
 * - Run-time limits (`sqlite3.aLimit`): the longest value, and no ATTACH.
 * - SQLITE_DBCONFIG_DEFENSIVE (`sqlite3.flags`): the user's SQL cannot write the tables that a full-text index is made of.
 *   What it keeps of them in memory would no longer be what they hold, and a node that was started again would differ.
 * - That a statement has a journal of its own (`Vdbe.usesStmtJournal`). SQLite spares one where it thinks that no error needs it,
 *   and ends the whole transaction, which holds entries of others, when an AUTOINCREMENT table has no rowid left.
 */
export interface EngineInternals {
  /** Bytes ever drawn from SQLite's generator. The write-ahead log draws 4 at a time, rowids 8. */
  drawnBytes(): number;
  /** Deferred foreign key violations in the open transaction. */
  deferredViolations(connection: SqliteConnection): number;
  /** Lowers the limits of a connection to ours, and makes it defensive. */
  setLimits(connection: SqliteConnection): void;
  /**
   * From now on the statement, if it fails, undoes what it did and nothing else. Until SQLite compiles it again by itself: because
   * the schema has changed, or to choose another plan for the value of a parameter (of a LIMIT in a SELECT, for example).
   */
  journal(statement: PreparedStatement): void;
}

const CHACHA_CONSTANT = Buffer.from("expand 32-byte k");
/** Static data stand at the beginning of the memory. */
const STATICS_BYTES_MAX = 1024 * 1024;
/** struct sqlite3PrngType { u32 s[16]; u8 out[64]; u8 n; }; s[12] counts blocks, n is what is left of one. */
const PRNG_BLOCKS_OFFSET = 48;
const PRNG_LEFT_OFFSET = 128;
const PRNG_BLOCK_BYTES = 64;

/** sqliteLimit.h: LENGTH, SQL_LENGTH, COLUMN, EXPR_DEPTH, COMPOUND_SELECT, VDBE_OP, FUNCTION_ARG, ATTACHED. */
const DEFAULT_LIMITS = [1_000_000_000, 1_000_000_000, 2000, 1000, 500, 250_000_000, 1000, 10] as const;
const LIMIT_LENGTH = 0;
const LIMIT_ATTACHED = 7;
/** sqliteInt.h: SQLITE_Defensive; and the ones that a PRAGMA sets, to find the field by. */
const FLAG_DEFENSIVE = 0x10000000;
const PRAGMA_FLAGS = [
  ["reverse_unordered_selects", 0x1000],
  ["recursive_triggers", 0x2000],
  ["cell_size_check", 0x200000],
] as const;
/** No field of struct sqlite3 stands further from its start. */
const CONNECTION_BYTES_MAX = 1024;
/**
 * Whether SQLite gives a statement a journal: if it may write more than one row, and may then be aborted. Several of each kind,
 * because a bit of a pointer follows them by chance, too.
 */
const JOURNALED_STATEMENTS = [
  ["INSERT INTO lax VALUES (1)", false],
  ["INSERT INTO lax SELECT 1", false],
  ["UPDATE lax SET a = 1", false],
  ["DELETE FROM lax", false],
  ["SELECT a FROM lax", false],
  ["INSERT INTO strict VALUES (1)", false],
  ["INSERT INTO strict SELECT 1", true],
  ["INSERT INTO strict SELECT a FROM lax", true],
  ["INSERT INTO strict VALUES (1), (2)", true],
  ["INSERT OR IGNORE INTO strict SELECT 1", false],
  ["UPDATE strict SET a = 1", true],
  ["UPDATE OR IGNORE strict SET a = 1", false],
] as const;
const JOURNALED_ROUNDS = 3;
/** Nor in struct Vdbe the bits that are sought. */
const STATEMENT_BYTES_MAX = 256;

export function findEngineInternals(wasm: SqliteWasm): EngineInternals {
  const connection = new SqliteConnection(wasm, ":memory:");
  try {
    const drawnBytes = findDrawnBytes(connection);
    const limitsOffset = findLimits(connection);
    const deferredOffset = findDeferredViolations(connection);
    const flagsOffset = findFlags(connection);
    const journal = findJournal(connection);
    const internals: EngineInternals = {
      drawnBytes,
      deferredViolations: ({ pointer }) => Number(wasm.memory().readBigInt64LE(pointer + deferredOffset)),
      setLimits({ pointer }) {
        const limits = pointer + limitsOffset;
        wasm.memory().writeInt32LE(VALUE_BYTES_MAX, limits + 4 * LIMIT_LENGTH);
        wasm.memory().writeInt32LE(0, limits + 4 * LIMIT_ATTACHED);
        const flags = wasm.memory().readInt32LE(pointer + flagsOffset);
        wasm.memory().writeInt32LE(flags | FLAG_DEFENSIVE, pointer + flagsOffset);
      },
      journal,
    };
    internals.setLimits(connection);
    requireFailure(connection, `SELECT zeroblob(${VALUE_BYTES_MAX + 1})`, SQLITE_TOOBIG);
    requireFailure(connection, "ATTACH ':memory:' AS other", SQLITE_ERROR);
    connection.run("CREATE VIRTUAL TABLE words USING fts5 (a)");
    requireFailure(connection, "DELETE FROM words_data", SQLITE_ERROR);
    return internals;
  } finally {
    connection.close();
  }
}

/** On a connection whose random() is still SQLite's own. */
function findDrawnBytes(connection: SqliteConnection): () => number {
  const { wasm } = connection;
  connection.run("SELECT random()");
  const readAt = (state: number) => {
    const memory = wasm.memory();
    const blocks = memory.readUInt32LE(state + PRNG_BLOCKS_OFFSET);
    return blocks * PRNG_BLOCK_BYTES - memory.readUInt8(state + PRNG_LEFT_OFFSET);
  };
  const candidates: number[] = [];
  const statics = wasm.memory().subarray(0, STATICS_BYTES_MAX);
  for (let at = statics.indexOf(CHACHA_CONSTANT); at >= 0; at = statics.indexOf(CHACHA_CONSTANT, at + 1)) {
    candidates.push(at);
  }
  const found = candidates.find((state) => {
    const before = readAt(state);
    connection.run("SELECT random(), randomblob(100)");
    return readAt(state) - before === 108;
  });
  invariant(found !== undefined, "SQLite's random generator is not where this build of it should have it");
  return () => readAt(found);
}

function findLimits({ wasm, pointer }: SqliteConnection): number {
  const memory = wasm.memory();
  for (let offset = 0; offset < CONNECTION_BYTES_MAX; offset += 4) {
    const isHere = DEFAULT_LIMITS.every(
      (limit, id) => memory.readInt32LE(pointer + offset + 4 * id) === limit,
    );
    if (isHere) return offset;
  }
  invariant(false, "SQLite's run-time limits are not where this build of it should have them");
}

/** The one counter that follows 3, 5 and 2 violations. */
function findDeferredViolations(connection: SqliteConnection): number {
  const { wasm, pointer } = connection;
  connection.run("CREATE TABLE parent (id INTEGER PRIMARY KEY)");
  connection.run("CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
  connection.run("BEGIN");
  const steps = [
    ["INSERT INTO child VALUES (1), (2), (3)", 3n],
    ["INSERT INTO child VALUES (4), (5)", 5n],
    ["DELETE FROM child WHERE parent > 2", 2n],
  ] as const;
  const candidates = new Set(Array.from({ length: CONNECTION_BYTES_MAX / 8 }, (_, slot) => slot * 8));
  for (const [sql, violations] of steps) {
    connection.run(sql);
    const memory = wasm.memory();
    for (const offset of candidates) {
      if (memory.readBigInt64LE(pointer + offset) !== violations) candidates.delete(offset);
    }
  }
  connection.run("ROLLBACK");
  const [found, ...others] = candidates;
  invariant(
    found !== undefined && others.length === 0 && wasm.memory().readBigInt64LE(pointer + found) === 0n,
    "SQLite's count of deferred violations is not where this build of it should have it",
  );
  return found;
}

/** The one word whose bits follow all of the PRAGMAs, on and off. */
function findFlags(connection: SqliteConnection): number {
  const { wasm, pointer } = connection;
  const candidates = new Set(Array.from({ length: CONNECTION_BYTES_MAX / 4 }, (_, word) => word * 4));
  for (const [pragma, flag] of PRAGMA_FLAGS) {
    for (const isOn of [true, false]) {
      connection.run(`PRAGMA ${pragma} = ${isOn ? "ON" : "OFF"}`);
      const memory = wasm.memory();
      for (const offset of candidates) {
        if ((memory.readInt32LE(pointer + offset) & flag) !== (isOn ? flag : 0)) candidates.delete(offset);
      }
    }
  }
  const [found, ...others] = candidates;
  invariant(
    found !== undefined && others.length === 0,
    "SQLite's flags are not where this build of it should have them",
  );
  return found;
}

/** The one bit that is set where SQLite journals a statement, and nowhere else. */
function findJournal(connection: SqliteConnection): (statement: PreparedStatement) => void {
  const { wasm } = connection;
  connection.run("CREATE TABLE lax (a)");
  connection.run("CREATE TABLE strict (a NOT NULL UNIQUE)");
  const statements = Array.from({ length: JOURNALED_ROUNDS }, () => JOURNALED_STATEMENTS)
    .flat()
    .map(([sql, isJournaled]) => ({ prepared: requireStatement(connection, sql), isJournaled }));
  const memory = wasm.memory();
  const bits = Array.from({ length: STATEMENT_BYTES_MAX * 8 }, (_, bit) => bit);
  const [found, ...others] = bits.filter((bit) =>
    statements.every(({ prepared, isJournaled }) => {
      const byte = memory[prepared.pointer + (bit >> 3)] ?? 0;
      return ((byte >> (bit & 7)) & 1) === (isJournaled ? 1 : 0);
    }),
  );
  for (const { prepared } of statements) prepared.finalize();
  invariant(
    found !== undefined && others.length === 0,
    "SQLite's flags of a statement are not where this build of it should have them",
  );
  const journal = ({ pointer }: PreparedStatement): void => {
    const at = pointer + (found >> 3);
    wasm.memory()[at] = (wasm.memory()[at] ?? 0) | (1 << (found & 7));
  };
  requireJournal(connection, journal);
  return journal;
}

function requireJournal(connection: SqliteConnection, journal: (statement: PreparedStatement) => void): void {
  connection.run("CREATE TABLE full (id INTEGER PRIMARY KEY AUTOINCREMENT, a)");
  connection.run("INSERT INTO full VALUES (9223372036854775807, 0)");
  const statement = requireStatement(connection, "INSERT INTO full (a) VALUES (1)");
  journal(statement);
  connection.run("BEGIN");
  requireFailureOf(() => statement.runToEnd(), "an INSERT without a rowid left", SQLITE_FULL);
  invariant(connection.inTransaction, "SQLite ends the transaction of a statement that has a journal");
  connection.run("ROLLBACK");
  statement.finalize();
}

function requireStatement(connection: SqliteConnection, sql: string): PreparedStatement {
  const statement = connection.prepare(sql);
  invariant(statement !== null, `${sql} is a statement`);
  return statement;
}

function requireFailure(connection: SqliteConnection, sql: string, primaryCode: number): void {
  requireFailureOf(() => connection.run(sql), sql, primaryCode);
}

function requireFailureOf(run: () => void, sql: string, primaryCode: number): void {
  let code = 0;
  try {
    run();
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    code = error.primaryCode;
  }
  invariant(code === primaryCode, `SQLite does not keep the limit that ${sql} breaks`);
}
