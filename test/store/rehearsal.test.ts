import t from "tap";
import { checkStatement } from "../../agent/store/sql-check.ts";
import type { SqlStatement } from "../../agent/store/types.ts";
import { ENDLESS_WRITE, entry, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

// Every restart starts a thread, which takes its time on a busy machine.
t.setTimeout(300_000);

const PATIENT = { transaction: false, timeoutMs: PATIENT_MS, timeMs: 0 } as const;
const SHORT_MS = 300;
const SHORT = { ...PATIENT, timeoutMs: SHORT_MS } as const;

function write(...sql: readonly string[]): readonly SqlStatement[] {
  return sql.map((each) => statement(each));
}

t.test("rehearse() of an endless write", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a)"]);

  t.test("is too-expensive, and every apply() before and after is there once", async (t) => {
    const applied = [2, 3].map((index) =>
      node.store.apply([entry(index, [`INSERT INTO t VALUES (${index})`])]),
    );
    const rehearsed = t.rejects(node.store.rehearse([ENDLESS_WRITE], SHORT), {
      code: "too-expensive",
      message: /did not end within 300 ms.*cheaper.*smaller pieces/,
    });
    const after = [4, 5].map((index) =>
      node.store.apply([entry(index, [`INSERT INTO t VALUES (${index})`])]),
    );
    const other = node.rows("SELECT count(*) FROM t");
    t.match(
      (await Promise.all([...applied, ...after])).flat(2),
      [1, 2, 3, 4].map((lastInsertId) => ({ lastInsertId })),
    );
    await rehearsed;
    t.same(await other, [[4]], "a query that waited behind it is answered");
    t.same(await node.rows("SELECT a FROM t"), [[2], [3], [4], [5]]);
    t.same(node.store.applied, { index: 5, term: 1 });
  });

  t.test("is found in any statement of a command, whatever the ones before it do", async (t) => {
    await node.execute([
      "CREATE TABLE full (id INTEGER PRIMARY KEY AUTOINCREMENT, b)",
      "INSERT INTO full VALUES (9223372036854775807, 0)",
    ]);
    const before = [
      "INSERT INTO missing VALUES (1)",
      "INSERT OR IGNORE INTO full (b) VALUES (1)",
      "CREATE TABLE u (a)",
    ];
    for (const sql of before) {
      const statements = [...write(sql), ENDLESS_WRITE];
      await t.rejects(node.store.rehearse(statements, SHORT), { code: "too-expensive" }, sql);
      await node.rows("SELECT 1");
    }
    const inTransaction = [...write("INSERT INTO missing VALUES (1)"), ENDLESS_WRITE];
    await t.resolves(
      node.store.rehearse(inTransaction, { ...PATIENT, transaction: true }),
      "ends at its first error",
    );
  });

  t.test("is found with the time of the command", async (t) => {
    const atZero = statement(
      "INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE unixepoch('now') = 0) SELECT count(*) FROM c",
    );
    await t.rejects(node.store.rehearse([atZero], SHORT), { code: "too-expensive" });
    await node.rows("SELECT 1");
    await t.resolves(node.store.rehearse([atZero], { ...PATIENT, timeMs: 1_000 }));
  });

  t.test("that takes too much memory takes only itself along", async (t) => {
    const greedy = statement(
      "INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 40) SELECT count(DISTINCT randomblob(x + 9000000)) FROM c",
    );
    await t.rejects(node.store.rehearse([greedy], PATIENT), {
      code: "query-failed",
      message: /^The write.* out of memory/,
    });
    t.same(await node.rows("SELECT count(*) FROM t"), [[4]]);
  });

  t.test("that cannot begin in time is store-busy", async (t) => {
    const slow = node.execute([
      "INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400000) SELECT x FROM c",
    ]);
    const options = { ...PATIENT, timeoutMs: 0.0625 };
    await t.rejects(node.store.rehearse([ENDLESS_WRITE], options), {
      code: "store-busy",
      message: /waited its 0 ms/,
    });
    t.match(await slow, [{ rowsAffected: 400_000 }]);
  });
});

t.test("rehearse() leaves no trace", async (t) => {
  const [node, never] = await Promise.all([StoreNode.create(), StoreNode.create()]);
  t.teardown(() => Promise.all([node.remove(), never.remove()]));
  const schema = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE, b DEFAULT (random()))",
    "CREATE VIRTUAL TABLE f USING fts5 (words)",
    "INSERT INTO t (a) VALUES (1), (2), (3)",
    "INSERT INTO f VALUES ('one two'), ('two three')",
    "CREATE TABLE p (a INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    "CREATE INDEX pa ON p (a)",
    "ANALYZE",
    "PRAGMA user_version = 7",
  ];
  const rehearsed = write(
    "INSERT INTO t (a) VALUES (10), (11)",
    "INSERT INTO f (words) VALUES ('four')",
    "INSERT INTO f (f) VALUES ('optimize')",
    "INSERT INTO f (f, rank) VALUES ('pgsz', 64)",
    "DELETE FROM f WHERE f MATCH 'one'",
    "INSERT INTO t (a) VALUES (10)",
    "ANALYZE",
    "ALTER TABLE t ADD COLUMN c DEFAULT 5",
    "INSERT INTO t (a) VALUES (12)",
    "CREATE TABLE u AS SELECT * FROM t",
    "DROP TABLE f",
    "CREATE VIRTUAL TABLE f USING fts5 (others)",
    "INSERT INTO f VALUES ('five')",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END",
    "INSERT INTO p VALUES (99)",
    "PRAGMA user_version = 8",
    "NONSENSE",
  );
  const after = [
    "SELECT changes(), last_insert_rowid(), random()",
    "INSERT INTO t (a) VALUES (10), (11)",
    "INSERT INTO f (words) VALUES ('four')",
    "INSERT INTO f (f) VALUES ('integrity-check')",
    "SELECT rowid, words FROM f WHERE f MATCH 'one OR four'",
    "PRAGMA user_version",
    "CREATE TABLE u AS SELECT * FROM t",
    "INSERT INTO p VALUES (1)",
    "SELECT * FROM t",
  ];
  for (const sql of schema) t.same(await node.execute([sql]), await never.execute([sql]), sql);
  const before = await node.dump();
  for (const transaction of [false, true, false]) {
    await node.store.rehearse(transaction ? rehearsed.slice(0, -1) : rehearsed, { ...PATIENT, transaction });
    t.same(await node.dump(), before);
  }
  t.equal(node.store.hiddenWork, "none", "the trigger was never there");
  for (const sql of after) {
    await node.store.rehearse(write(sql), PATIENT);
    const result = await node.execute([sql]);
    t.same(result, await never.execute([sql]), sql);
    t.not(result[0]?.kind, "error", sql);
  }
  await node.reopen();
  t.same(await node.dump(), await never.dump());
});

t.test("rehearse() of ANALYZE does not change the plan, and so the order, of the next entry", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute([
    "CREATE TABLE p (a, b, x, y)",
    "CREATE INDEX pa ON p (a, x)",
    "CREATE INDEX pb ON p (b, y)",
    "INSERT INTO p SELECT 1, value / 4, value, -value FROM json_each('[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]')",
  ]);
  await node.execute(["ANALYZE"]);
  const select = "SELECT x FROM p WHERE a = 1 AND b = 1";
  const byPb = { values: [[7], [6], [5], [4]] };
  t.match(await node.executeOne(select), byPb);
  const shifted = write("UPDATE p SET a = x, b = 1", "ANALYZE");
  await node.store.rehearse(shifted, { ...PATIENT, transaction: true });
  t.match(await node.executeOne(select), byPb);
});

t.test("rehearse() of nothing ends at once, but not in a store that is closed", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await t.resolves(node.store.rehearse([], PATIENT));
  await node.store.close();
  await t.rejects(node.store.rehearse([], PATIENT), { code: "store-closed" });
});

t.test("hiddenWork tells of what a write brings about besides its text, once it is applied", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const steps = [
    ["CREATE TABLE t (a)", "none"],
    ["CREATE VIEW v AS SELECT a FROM t", "none"],
    ["CREATE VIRTUAL TABLE f USING fts5 (a, tokenize = 'porter')", "none"],
    ["CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END", "of-any-write"],
    ["INSERT INTO t VALUES (1)", "of-any-write"],
    ["DROP TRIGGER g", "none"],
    ["CREATE VIRTUAL TABLE x USING fts5 (a, content = 'v')", "of-any-write"],
    ["DROP TABLE x", "none"],
    ["CREATE TABLE c (a CHECK (length(a) < 9), b DEFAULT (hex(randomblob(16))))", "none"],
    ["CREATE TABLE d (a, b, c AS (instr(a, b)))", "of-any-write"],
    ["DROP TABLE d", "none"],
    ["CREATE INDEX i ON t (replace(a, 1, 2))", "of-any-write"],
    ["DROP INDEX i", "none"],
    [`CREATE INDEX i ON t (${"a || ".repeat(16)} a)`, "none"],
    ["DROP INDEX i", "none"],
    [`CREATE INDEX i ON t (${"a || ".repeat(17)} a)`, "of-any-write"],
    ["DROP INDEX i", "none"],
    ["CREATE TABLE orphan (a REFERENCES nowhere)", "none"],
    ['CREATE TABLE "a ""parent" (a INTEGER PRIMARY KEY)', "none"],
    ['CREATE TABLE child (a INTEGER REFERENCES "a ""parent" ON DELETE CASCADE)', "of-removals"],
    ["CREATE INDEX i ON child (a)", "none"],
    ["DROP INDEX i", "of-removals"],
    ["DROP TABLE child", "none"],
    // An index on text finds no integer.
    ['CREATE TABLE child (a TEXT UNIQUE REFERENCES "a ""parent")', "of-removals"],
    ["DROP TABLE child", "none"],
    ["CREATE TABLE tree (a INTEGER PRIMARY KEY, up INTEGER REFERENCES tree)", "of-removals"],
    ["CREATE INDEX i ON tree (up)", "none"],
    ["DROP INDEX i", "of-removals"],
    ["CREATE TABLE u (a UNIQUE ON CONFLICT REPLACE)", "of-any-write"],
    ["DROP TABLE tree", "none"],
    ["CREATE VIRTUAL TABLE x USING fts5 (a, CONT=v)", "of-any-write"],
  ] as const;
  for (const [sql, hiddenWork] of steps) {
    t.not((await node.execute([sql]))[0]?.kind, "error", sql);
    t.equal(node.store.hiddenWork, hiddenWork, sql);
    await node.reopen();
    t.equal(node.store.hiddenWork, hiddenWork, `${sql}, opened again`);
  }
});

/** One pass over what they are given, and answers in proportion to it. What is not named here must be tried out. */
const PROPORTIONATE = new Set(
  [
    "-> ->> abs acos acosh asin asinh atan atan2 atanh ceil ceiling changes char coalesce concat cos cosh",
    "current_date current_time current_timestamp date datetime degrees exp floor if ifnull iif json",
    "json_array_length json_error_position json_extract json_type json_valid jsonb jsonb_extract julianday",
    "last_insert_rowid length likelihood likely ln log log10 log2 lower max min mod nullif octet_length pi pow",
    "power radians random round sign sin sinh sqlite_log sqrt strftime substr substring subtype tan tanh time",
    "timediff trunc typeof unicode unistr unixepoch unlikely upper",
    // Only where rows come from a SELECT, which is tried out anyway.
    "avg bm25 count cume_dist dense_rank first_value group_concat highlight json_group_array json_group_object",
    "jsonb_group_array jsonb_group_object lag last_value lead nth_value ntile",
    "percent_rank rank row_number snippet string_agg sum total fts5 fts5_get_locale fts5_insttoken",
  ]
    .join(" ")
    .split(" "),
);

t.test("every function of this SQLite is proportionate, refused or tried out", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const names = (await node.rows("SELECT DISTINCT name FROM pragma_function_list")).map(([name]) =>
    String(name),
  );
  t.ok(names.length > 100, `${names.length} functions`);
  for (const name of names) {
    if (PROPORTIONATE.has(name)) continue;
    const check = checkStatement(`INSERT INTO t VALUES (${name}(a, b, c))`);
    t.ok(!check.ok || check.passes === Number.POSITIVE_INFINITY, name);
  }
});

t.test("rehearse() of expressions that cost far more than their text", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a)"]);
  const slow = "INSERT INTO t VALUES (instr(hex(zeroblob(8000000)), hex(zeroblob(4000000)) || '1'))";
  t.match(checkStatement(slow), { ok: true, passes: Number.POSITIVE_INFINITY });
  await t.rejects(node.store.rehearse([statement(slow)], SHORT), { code: "too-expensive" });
  const columns = Array.from({ length: 40 }, (_, nth) => `c${nth}`);
  await node.execute([`CREATE TABLE wide (${columns.join(", ")})`]);
  const large = `INSERT INTO wide VALUES (${columns.map(() => "hex(zeroblob(8000000))").join(", ")})`;
  t.match(checkStatement(large), { ok: true, passes: Number.POSITIVE_INFINITY });
  await t.rejects(node.store.rehearse([statement(large)], PATIENT), {
    code: "query-failed",
    message: /out of memory/,
  });
  t.same(await node.rows("SELECT count(*) FROM t"), [[0]], "the store goes on");
});
