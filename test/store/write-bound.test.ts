import { stat } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { VALUE_BYTES_MAX, WRITTEN_BYTES_MAX } from "../../agent/store/limits.ts";
import { checkRequest, traitsOf } from "../../agent/store/request-check.ts";
import type { SqlStatement } from "../../agent/store/types.ts";
import { type DataTraits, mayWriteMuch } from "../../agent/store/write-bound.ts";
import { entry, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

const MIB = 1024 * 1024;
const PATIENT = { transaction: false, timeoutMs: PATIENT_MS, timeMs: 0 } as const;

t.setTimeout(300_000);

const SCHEMA = [
  "CREATE TABLE t (id INTEGER PRIMARY KEY, b, n)",
  "CREATE TABLE pair (a TEXT, b TEXT, c, PRIMARY KEY (a, b)) WITHOUT ROWID",
  "CREATE TABLE named (name TEXT COLLATE NOCASE UNIQUE, b)",
  "CREATE TABLE keyed (a UNIQUE, b, rowid)",
  "CREATE TABLE part (kind, a, b)",
  "CREATE UNIQUE INDEX some ON part (a) WHERE kind = 1",
  "CREATE UNIQUE INDEX lowered ON part (lower(b))",
  "CREATE UNIQUE INDEX collated ON keyed (b COLLATE NOCASE)",
  "CREATE TABLE parent (id INTEGER PRIMARY KEY, b)",
  "CREATE TABLE child (up INTEGER REFERENCES parent ON DELETE CASCADE)",
  "CREATE INDEX up ON child (up)",
  "CREATE TABLE moved (id INTEGER PRIMARY KEY)",
  "CREATE TABLE follower (id INTEGER PRIMARY KEY REFERENCES moved ON UPDATE SET NULL)",
  "CREATE TABLE upsert (k TEXT PRIMARY KEY, b)",
  "CREATE TABLE wide (b, c AS (b) STORED)",
  ...Array.from({ length: 40 }, (_, nth) => `CREATE INDEX wide${nth} ON wide (b, ${nth})`),
  `CREATE TABLE filled (id INTEGER PRIMARY KEY, b DEFAULT '${"x".repeat(100_000)}')`,
  "CREATE VIRTUAL TABLE words USING fts5 (a)",
  "CREATE TABLE taking (a UNIQUE ON CONFLICT REPLACE, b)",
];

const node = await StoreNode.create();
t.teardown(() => node.remove());
const made = await node.execute(SCHEMA);
const { tables } = node.store.data;

/** In a file of the same schema and of this size. */
function mayBeMuch(bytes: number, ...statements: readonly (string | SqlStatement)[]): boolean {
  const all = statements.map((each) => (typeof each === "string" ? statement(each) : each));
  const data: DataTraits = { bytes, tables };
  return mayWriteMuch(traitsOf(checkRequest(all), all).writes, data);
}

t.test(
  "mayWriteMuch() of what is bounded by its text, or by a few rows, in a file of any size",
  async (t) => {
    t.same(
      made.filter(({ kind }) => kind === "error"),
      [],
    );
    const rows = Array.from({ length: 1000 }, (_, nth) => `(${nth}, 'b', 1)`).join(",");
    const plain = [
      "INSERT INTO t VALUES (1, 'b', 2)",
      "INSERT INTO t DEFAULT VALUES",
      `INSERT INTO t VALUES ${rows}`,
      "UPDATE t SET b = 'x', n = n + 1 WHERE id = 7",
      "UPDATE OR IGNORE t SET b = 'x' WHERE n > 3 AND id == ? AND (b = 1 OR b = 2)",
      "UPDATE t AS other SET b = ? WHERE other.id = :id RETURNING b",
      "UPDATE T SET b = 1 WHERE rowid = 7 LIMIT 1",
      "DELETE FROM t WHERE id = 7",
      "DELETE FROM \"pair\" WHERE b = 'y' AND a = 'x'",
      "UPDATE keyed SET b = 1 WHERE a = 'x'",
      "INSERT INTO upsert VALUES ('a', 1) ON CONFLICT (k) DO UPDATE SET b = excluded.b",
      "REPLACE INTO upsert VALUES ('a', 1)",
      "DELETE FROM child WHERE rowid = 1",
      "INSERT INTO parent VALUES (1, 2)",
      "UPDATE parent SET b = 2 WHERE id = 1",
      "INSERT INTO parent VALUES (1, 2) ON CONFLICT DO UPDATE SET b = 2",
      "DELETE FROM moved WHERE id = 1",
      "CREATE TABLE other (a)",
      "CREATE VIEW v AS SELECT 1",
      "PRAGMA user_version = 7",
      "SELECT 1",
    ];
    for (const sql of plain) {
      for (const bytes of [0, MIB, 1000 * MIB])
        t.notOk(mayBeMuch(bytes, sql), `${sql.slice(0, 99)}, ${bytes}`);
    }
    t.notOk(mayBeMuch(1000 * MIB, statement("INSERT INTO t VALUES (1, ?, 2)", [new Uint8Array(MIB)])));
    t.notOk(mayBeMuch(1000 * MIB, statement("UPDATE t SET b = ? WHERE id = 1", [new Uint8Array(MIB)])));
  },
);

t.test("mayWriteMuch() of what may change any number of rows, in a large file", async (t) => {
  const large = [
    "UPDATE t SET n = 1",
    "UPDATE t SET n = 1 WHERE n = 7",
    "UPDATE t SET n = 1 WHERE id = 7 OR n = 7",
    "UPDATE t SET n = 1 WHERE NOT (n = 1 AND id = 7 AND n = 2)",
    "UPDATE t SET n = 1 WHERE n BETWEEN 1 AND id = 7",
    "UPDATE t SET n = 1 WHERE CASE WHEN n AND id = 7 AND n THEN 0 ELSE 1 END",
    "UPDATE t SET n = 1 WHERE id = n",
    "UPDATE t SET n = 1 WHERE id = 7 IS NULL",
    "UPDATE OR REPLACE t SET id = 8 WHERE id = 7",
    "DELETE FROM t",
    "DELETE FROM t WHERE id > 7",
    "DELETE FROM pair WHERE a = 'x'",
    "DELETE FROM main.t WHERE id = 7",
    "DELETE FROM named WHERE name = 'x'",
    "UPDATE keyed SET a = 1 WHERE b = 'x'",
    "UPDATE keyed SET a = 1 WHERE rowid = 1",
    "UPDATE part SET kind = 2 WHERE kind = 2 AND a = 1",
    "UPDATE part SET kind = 2 WHERE b = 'x'",
    "DELETE FROM parent WHERE id = 1",
    "REPLACE INTO parent VALUES (1, 2)",
    "INSERT OR REPLACE INTO parent VALUES (1, 2) ON CONFLICT (b) DO UPDATE SET b = 2",
    "UPDATE moved SET id = 2 WHERE id = 1",
    "INSERT INTO moved VALUES (1) ON CONFLICT DO UPDATE SET id = 2",
    "INSERT INTO words VALUES ('a')",
    "INSERT INTO words (words) VALUES ('optimize')",
    "INSERT INTO taking VALUES (1, 2)",
    "UPDATE unknown SET b = 1 WHERE id = 1",
    "CREATE INDEX i ON t (b)",
    "CREATE UNIQUE INDEX i ON t (b)",
    "ALTER TABLE t DROP COLUMN b",
    "DROP TABLE t",
    "REINDEX",
  ];
  for (const sql of large) {
    t.ok(mayBeMuch(100 * MIB, sql), sql);
    t.notOk(mayBeMuch(MIB, sql), `${sql}, in a small file`);
  }
});

t.test("mayWriteMuch() of what makes much of a short request", async (t) => {
  const text = new Uint8Array(MIB);
  t.ok(mayBeMuch(64 * 1024, statement("UPDATE t SET b = ?", [text])), "to each row");
  t.notOk(
    mayBeMuch(64 * 1024, statement("UPDATE t SET n = n + 1 WHERE b < ?", [text])),
    "compared with each row",
  );
  t.ok(mayBeMuch(64 * 1024, `UPDATE t SET b = '${"x".repeat(MIB)}'`));
  t.ok(mayBeMuch(64 * 1024, `UPDATE t SET b = x'${"00".repeat(MIB / 2)}'`));
  const upsert = "INSERT INTO upsert VALUES ('a', 1), ('b', 1), ('c', 1) ON CONFLICT (k) DO UPDATE SET b = ";
  t.notOk(mayBeMuch(64 * 1024, statement(`${upsert}?`, [text])));
  const second = "1 WHERE FALSE ON CONFLICT DO UPDATE SET b = ?";
  t.notOk(mayBeMuch(64 * 1024, statement(`${upsert.replace("1)", "?)")}excluded.b`, [text])));
  const many = Array.from({ length: 100 }, () => "('a', 1)").join(",");
  const manyUpserts = upsert.replace("('a', 1)", many);
  t.ok(mayBeMuch(64 * 1024, statement(`${manyUpserts}?`, [text])));
  t.ok(mayBeMuch(64 * 1024, statement(`${manyUpserts}${second}`, [text])), "in another clause");
  t.ok(mayBeMuch(0, statement("INSERT INTO wide VALUES (?)", [new Uint8Array(1.9 * MIB)])), "to each index");
  t.notOk(mayBeMuch(0, statement("INSERT INTO wide VALUES (?)", [new Uint8Array(MIB)])));
  const filled = Array.from({ length: 1000 }, () => "INSERT INTO filled (id) VALUES (NULL)");
  t.ok(mayBeMuch(0, ...filled), "what is written for want of a value");
  t.ok(mayBeMuch(0, `INSERT INTO filled (id) VALUES ${filled.map(() => "(NULL)").join(",")}`));
  t.notOk(mayBeMuch(0, ...filled.slice(0, 100)));
  const repeated = (uses: number): SqlStatement => {
    const rows = Array.from({ length: uses }, (_, nth) => `(${nth}, 1, ?1)`);
    return statement(`INSERT INTO keyed VALUES ${rows.join(",")}`, [new Uint8Array(1.9 * MIB)]);
  };
  t.notOk(mayBeMuch(0, repeated(10)));
  t.ok(mayBeMuch(0, repeated(16)), "one parameter, to many rows");
});

t.test(
  "mayWriteMuch() of rows that are there and are rewritten whole, each perhaps as long as a row may be",
  async (t) => {
    const rows = (count: number): string =>
      `INSERT INTO upsert VALUES ${Array.from({ length: count }, () => "('a', 1)").join(",")} ON CONFLICT DO UPDATE SET b = 1`;
    t.notOk(mayBeMuch(WRITTEN_BYTES_MAX, rows(64)));
    t.ok(mayBeMuch(WRITTEN_BYTES_MAX + 1, rows(64)), "as many different pages as the file has");
    t.notOk(mayBeMuch(MIB, rows(1000)));
    t.ok(mayBeMuch(VALUE_BYTES_MAX, rows(1000)), "the same one again and again");
  },
);

t.test("data tells of the file as of the last entry, and of its tables once they have changed", async (t) => {
  const other = await StoreNode.create();
  t.teardown(() => other.remove());
  t.same(
    [...other.store.data.tables.keys()].filter((name) => !name.startsWith("_trivet_")),
    [],
  );
  const before = other.store.data.bytes;
  await other.execute([
    "CREATE TABLE Made (a INTEGER PRIMARY KEY, b)",
    "INSERT INTO made VALUES (1, zeroblob(1000000))",
  ]);
  t.match(other.store.data.tables.get("made"), { copies: 1, keys: [["rowid"], ["a"]] });
  t.ok(other.store.data.bytes >= before + 1_000_000);
  await other.execute(["CREATE INDEX i ON made (b)"]);
  t.match(other.store.data.tables.get("made"), { copies: 2 });
  await other.execute(["INSERT INTO made VALUES (2, 2)"]);
  t.match(other.store.data.tables.get("made"), { copies: 2 }, "also when it is not told again");
  await other.reopen();
  t.match(other.store.data.tables.get("made"), { copies: 2 });
});

t.test(
  "rehearse() ends what writes more than it may, and the store goes on as if it never was",
  async (t) => {
    const store = await StoreNode.create();
    t.teardown(() => store.remove());
    await store.execute([
      "CREATE TABLE t (id INTEGER PRIMARY KEY, b, n)",
      "INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000) SELECT x, x, 0 FROM c",
    ]);
    const before = await store.dump();
    const tooMuch = {
      code: "too-expensive",
      message: /more than 64 MiB to the disk.*was not carried out. Split it into several requests/,
    };
    const text = "x".repeat(MIB);
    await t.rejects(store.store.rehearse([statement("UPDATE t SET b = ?", [text])], PATIENT), tooMuch);
    t.same(await store.dump(), before);
    const log = await stat(join(store.directory, "app.db-wal"));
    t.ok(log.size < 16 * MIB, `the write-ahead log keeps ${log.size} bytes of it`);

    const some = statement("UPDATE t SET b = ? WHERE id <= 30", [text]);
    t.equal(await store.store.rehearse([some], PATIENT), "tried-out");
    await t.rejects(store.store.rehearse([some], { ...PATIENT, bytesMax: 16 * MIB }), {
      ...tooMuch,
      message: /more than 16 MiB/,
    });
    t.match(await store.execute([some, "UPDATE t SET b = 0"]), [
      { rowsAffected: 30 },
      { rowsAffected: 2000 },
    ]);
    t.match(await store.queryOne("PRAGMA integrity_check"), { values: [["ok"]] });
  },
);

t.test("rehearse() counts what is rewritten again and again", async (t) => {
  const store = await StoreNode.create();
  t.teardown(() => store.remove());
  await store.execute([
    "CREATE TABLE t (id INTEGER PRIMARY KEY, b, n)",
    "INSERT INTO t VALUES (1, zeroblob(16000000), 0)",
  ]);
  // Of the same length it would be changed where it stands.
  const rows = Array.from({ length: 2000 }, (_, nth) => `(1, 0, '${"x".repeat(nth % 2)}')`).join(",");
  const upsert = statement(`INSERT INTO t VALUES ${rows} ON CONFLICT (id) DO UPDATE SET n = excluded.n`);
  t.ok(mayWriteMuch(traitsOf(checkRequest([upsert]), [upsert]).writes, store.store.data));
  await t.rejects(store.store.rehearse([upsert], PATIENT), { code: "too-expensive", message: /64 MiB/ });
});

t.test("apply() commits what has spilled much, and keeps the write-ahead log short", async (t) => {
  const store = await StoreNode.create();
  t.teardown(() => store.remove());
  await store.execute(["CREATE TABLE t (b)"]);
  const large = Array.from({ length: 60 }, (_, nth) =>
    entry(nth + 2, ["INSERT INTO t VALUES (zeroblob(8000000))"]),
  );
  let longest = 0;
  for (const each of large) {
    await store.store.apply([each]);
    longest = Math.max(longest, (await stat(join(store.directory, "app.db-wal"))).size);
  }
  t.ok(longest < 48 * MIB, `${longest} bytes`);
});
