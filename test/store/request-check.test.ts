import t from "tap";
import { REQUEST_BYTES_MAX, STATEMENTS_MAX, TOKENS_MAX } from "../../agent/store/limits.ts";
import { checkRequest, type EntryTraits, NO_TRAITS, traitsOf } from "../../agent/store/request-check.ts";
import { statement } from "./store-node.ts";

function traitsOfAll(texts: readonly string[]): EntryTraits {
  const statements = texts.map((sql) => statement(sql));
  return traitsOf(checkRequest(statements), statements);
}

t.test("checkRequest() bounds the statements, the bytes and the tokens of a request", async (t) => {
  const most = Array.from({ length: STATEMENTS_MAX }, () => statement("SELECT 1"));
  t.equal(checkRequest(most).length, STATEMENTS_MAX);
  t.throws(() => checkRequest([...most, statement("SELECT 1")]), {
    code: "too-large",
    message: /4096 statements/,
  });
  const large = statement("SELECT ?", [new Uint8Array(REQUEST_BYTES_MAX)]);
  t.throws(() => checkRequest([large]), { code: "too-large", message: /2097152 bytes/ });

  const half = statement(`SELECT ${"(".repeat(TOKENS_MAX / 2 - 1)}`);
  t.equal(checkRequest([half, half]).length, 2);
  const tooManyTokens = { code: "too-large", message: /262144 words/ };
  t.throws(() => checkRequest([half, statement("SELECT 1"), half]), tooManyTokens);
  t.throws(() => checkRequest([statement(`${half.sql} ${half.sql} 1`)]), tooManyTokens);
});

t.test("checkRequest() tells of each statement, traitsOf() of all together", async (t) => {
  const statements = ["SELECT 1", "COMMIT", "DELETE FROM t", "CREATE TABLE t (a)"].map((sql) =>
    statement(sql),
  );
  const checks = checkRequest(statements);
  t.match(checks, [
    { ok: true, isReadOnly: true },
    { ok: false, code: "transaction-control" },
    { ok: true, isReadOnly: false },
    { ok: true, isReadOnly: false },
  ]);
  const traits = (from: number, to: number) => {
    const { writes, ...rest } = traitsOf(checks.slice(from, to), statements.slice(from, to));
    return [rest, writes.length];
  };
  t.same(traits(2, 4), [{ isBounded: true, mayRemove: true, mayChangeSchema: true }, 2]);
  t.same(traits(2, 3), [{ isBounded: true, mayRemove: true, mayChangeSchema: false }, 1]);
  t.same(traits(0, 1), [{ isBounded: false, mayRemove: false, mayChangeSchema: false }, 1]);
  t.same(traitsOf([], []), NO_TRAITS);
});

t.test("traitsOf() adds up how often statements may pass over tables", async (t) => {
  const isBounded = (sql: string, count: number) =>
    traitsOfAll(Array.from({ length: count }, () => sql)).isBounded;
  for (const sql of [
    "UPDATE t SET a = a + 1",
    "DELETE FROM t WHERE a = ?",
    "CREATE INDEX i ON t (a)",
    "CREATE UNIQUE INDEX i ON t (a)",
    "REINDEX",
    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 2",
  ]) {
    t.ok(isBounded(sql, 16), sql);
    t.notOk(isBounded(sql, 17), sql);
  }
  t.ok(isBounded("UPDATE t SET a = a || a", 8));
  t.notOk(isBounded("UPDATE t SET a = a || a", 9), "each one doubles what is there");
  const plain = [
    "INSERT INTO t VALUES (?)",
    "REPLACE INTO t VALUES (1)",
    "CREATE TABLE t (a)",
    "DROP TABLE t",
  ];
  for (const sql of plain) t.ok(isBounded(sql, STATEMENTS_MAX), sql);
});

t.test(
  "traitsOf() has no bound for writes behind a change of the schema, which may bring more about",
  async (t) => {
    const traits = (...sql: readonly string[]) => traitsOfAll(sql);
    const changes = [
      "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM u; END",
      "DROP INDEX i",
      "ANALYZE",
    ];
    for (const change of [...changes, "ALTER TABLE t ADD COLUMN a REFERENCES t"]) {
      t.match(
        traits("INSERT INTO t VALUES (1)", change, change),
        { isBounded: true, mayChangeSchema: true },
        change,
      );
      t.match(
        traits(change, "INSERT INTO t VALUES (1)"),
        { isBounded: false, mayChangeSchema: true },
        change,
      );
    }
  },
);

t.test("traitsOf() tells whether rows may leave a table", async (t) => {
  const mayRemove = (sql: string) => traitsOfAll([sql]).mayRemove;
  for (const sql of [
    "DELETE FROM t",
    "WITH c AS (SELECT 1) DELETE FROM t",
    "UPDATE t SET a = 1",
    "REPLACE INTO t VALUES (1)",
    "INSERT OR REPLACE INTO t VALUES (1)",
    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 2",
    "DROP TABLE t",
  ]) {
    t.ok(mayRemove(sql), sql);
  }
  for (const sql of [
    "INSERT INTO t VALUES (1)",
    "INSERT OR IGNORE INTO t SELECT 1",
    "CREATE INDEX i ON t (a)",
  ]) {
    t.notOk(mayRemove(sql), sql);
  }
});
