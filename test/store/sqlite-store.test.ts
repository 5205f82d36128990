import { statSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { systemClock } from "../../agent/platform/clock.ts";
import { COMMAND_RESULT_LIMITS, QUERY_RESULT_LIMITS, VALUE_BYTES_MAX } from "../../agent/store/limits.ts";
import { planQuery } from "../../agent/store/query-plan.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { entry, logOf, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

t.test("values", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE v (id INTEGER PRIMARY KEY, x ANY) STRICT"]);

  t.test("apply() and query() keep every value exactly", async (t) => {
    const values = [
      ...[null, 0, -1, 2 ** 53 - 1, 1.5, 1e300, -0.1, Number.POSITIVE_INFINITY],
      ...[2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, "", "x", "a\0b", "žluťoučký 🐎 \uFFFD", "'\"`"],
      ...[Uint8Array.of(), Uint8Array.of(0, 1, 255)],
    ];
    for (const [id, value] of values.entries()) {
      const result = await node.executeOne("INSERT INTO v VALUES (?, ?)", [id, value]);
      t.same(result, { kind: "changed", lastInsertId: id, rowsAffected: 1 });
    }
    t.strictSame((await node.rows("SELECT x FROM v ORDER BY id")).flat(), values);
    const types = (await node.rows("SELECT typeof(x) FROM v ORDER BY id")).flat();
    t.equal(
      types.join(" "),
      `null ${"integer ".repeat(3)}${"real ".repeat(4)}${"integer ".repeat(3)}${"text ".repeat(5)}blob blob`,
    );
  });

  t.test("apply() binds integer-valued numbers as INTEGER and NaN as NULL", async (t) => {
    t.same(
      await node.rows("SELECT typeof(?), typeof(?), typeof(?), typeof(?)", [1.0, -0, 2 ** 53, Number.NaN]),
      [["integer", "integer", "real", "null"]],
    );
  });

  t.test("query() gives columns by position, whatever their names", async (t) => {
    t.same(await node.queryOne("SELECT 1 AS a, 'x' AS a, NULL AS a, x'00' AS b, 0.5 AS b"), {
      kind: "rows",
      columns: ["a", "a", "a", "b", "b"],
      types: ["integer", "text", "", "blob", "real"],
      values: [[1, "x", null, Uint8Array.of(0), 0.5]],
    });
    t.same(await node.queryOne("SELECT 1 AS a WHERE FALSE"), {
      kind: "rows",
      columns: ["a"],
      types: [""],
      values: [],
    });
  });

  t.test("apply() takes parameters by name with any prefix", async (t) => {
    t.same(await node.rows("SELECT :a, @a, $b, :a", { a: 1, b: "x" }), [[1, 1, "x", 1]]);
  });

  t.test("apply() answers wrong parameters with an error", async (t) => {
    const wrong = [
      ["SELECT ?, ?", [1], /has 2 parameters, 1 given/],
      ["SELECT ?", [], /has 1 parameter, 0 given/],
      ["SELECT 1", [1], /has 0 parameters, 1 given/],
      ["SELECT :a", { b: 1 }, /no parameter named b/],
      ["SELECT :a, :b", { a: 1 }, /has 2 parameters, 1 given by name/],
    ] as const;
    for (const [sql, parameters, message] of wrong) {
      t.match(
        await node.executeOne(sql, parameters),
        { kind: "error", code: "wrong-parameters", message },
        sql,
      );
    }
  });

  t.test("apply() gives the rows of RETURNING, and what it changed is kept", async (t) => {
    t.match(await node.executeOne("INSERT INTO v VALUES (100, 'r') RETURNING id, x"), {
      values: [[100, "r"]],
    });
    t.same(await node.rows("SELECT x FROM v WHERE id = 100"), [["r"]]);
  });
});

t.test("results", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE CHECK (b <> 'bad'))"]);

  t.test("apply() lets the other statements stand when one fails", async (t) => {
    const results = await node.execute([
      "INSERT INTO t VALUES (1, 1)",
      "INSERT INTO t VALUES (2, 1)",
      "INSERT INTO t VALUES (3, 3)",
    ]);
    t.match(results, [
      { kind: "changed", lastInsertId: 1, rowsAffected: 1 },
      { kind: "error", code: "constraint", message: "UNIQUE constraint failed: t.b" },
      { kind: "changed", lastInsertId: 3, rowsAffected: 1 },
    ]);
    t.same(await node.rows("SELECT a FROM t"), [[1], [3]]);
  });

  t.test("apply() of a transaction undoes all of it and ends with its first error", async (t) => {
    const results = await node.execute(
      ["DELETE FROM t", "INSERT INTO t VALUES (9, 'bad')", "INSERT INTO t VALUES (4, 4)"],
      true,
    );
    t.match(results, [
      { kind: "changed", rowsAffected: 2 },
      { kind: "error", code: "constraint" },
    ]);
    t.equal(results.length, 2);
    t.same(await node.rows("SELECT a FROM t"), [[1], [3]]);
  });

  t.test("apply() undoes the rows of a statement that fails half way", async (t) => {
    t.match(await node.executeOne("INSERT INTO t VALUES (10, 10), (11, 'bad')"), { code: "constraint" });
    t.same(await node.rows("SELECT count(*) FROM t WHERE a >= 10"), [[0]]);
  });

  t.test("apply() answers SQLite's errors with SQLite's words", async (t) => {
    const wrong = [
      ["SELEKT 1", "sql-error", /near "SELEKT": syntax error/],
      ["SELECT * FROM missing", "sql-error", /no such table: missing/],
      ["SELECT 'open", "sql-error", /unrecognized token/],
      ["SELECT 1; SELECT 2", "several-statements", /more than one statement/],
      ["", "empty-statement", /empty/],
      ["-- nothing", "empty-statement", /empty/],
      ["INSERT INTO t VALUES ('x', 1)", "sql-error", /datatype mismatch/],
      [`SELECT zeroblob(${VALUE_BYTES_MAX + 1})`, "value-too-large", /too big/],
      [`SELECT randomblob(${VALUE_BYTES_MAX + 1})`, "value-too-large", /too big/],
      ["SELECT abs(-9223372036854775808)", "sql-error", /integer overflow/],
      ["SELECT readfile('/etc/passwd')", "sql-error", /no such function: readfile/],
    ] as const;
    for (const [sql, code, message] of wrong) {
      t.match(await node.executeOne(sql), { kind: "error", code, message }, sql);
    }
  });

  t.test("apply() survives the deepest SQL that SQLite permits", async (t) => {
    const deep = [
      `SELECT ${"NOT ".repeat(990)} 1`,
      `SELECT ${"1 + ".repeat(990)} 1`,
      `SELECT ${"abs(".repeat(450)} 1 ${")".repeat(450)}`,
      `SELECT * FROM ${"(SELECT * FROM ".repeat(350)} (SELECT 1) ${")".repeat(350)}`,
      `SELECT json_valid('${"[".repeat(990)}${"]".repeat(990)}')`,
    ];
    for (const sql of deep) t.match(await node.executeOne(sql), { kind: "rows" }, sql.slice(0, 30));
    await node.execute(
      Array.from(
        { length: 400 },
        (_, at) => `CREATE VIEW v${at} AS SELECT * FROM ${at ? `v${at - 1}` : "t"}`,
      ),
    );
    t.same(await node.rows("SELECT a FROM v399"), [[1], [3]]);
  });

  t.test("apply() answers for deferred foreign keys within the entry", async (t) => {
    await node.execute([
      "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
      "CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    ]);
    const failed = { kind: "error", code: "constraint", message: "FOREIGN KEY constraint failed" };
    t.match(await node.executeOne("INSERT INTO child VALUES (1)"), failed);
    t.match((await node.execute(["INSERT INTO child VALUES (1)", "SELECT 1"], true)).at(-1), failed);
    const kept = await node.execute(["INSERT INTO child VALUES (1)", "INSERT INTO parent VALUES (1)"], true);
    t.match(kept, [{ kind: "changed" }, { kind: "changed" }]);
    t.same(await node.rows("SELECT * FROM child"), [[1]]);
    t.same(await node.store.checkpoint(), node.store.applied);
  });

  t.test("apply() answers a result beyond its bounds with an error, and undoes the statement", async (t) => {
    const many = `INSERT INTO many SELECT value FROM json_each('[${"0,".repeat(COMMAND_RESULT_LIMITS.rows)}0]') RETURNING 1`;
    await node.execute(["CREATE TABLE many (x)"]);
    t.match(await node.executeOne(many), { kind: "error", code: "result-too-large", message: /10000 rows/ });
    t.same(await node.rows("SELECT count(*) FROM many"), [[0]]);
  });

  t.test("apply() counts the rows of this statement only", async (t) => {
    const results = await node.execute([
      "INSERT INTO many VALUES (1), (2), (3)",
      "CREATE TABLE other (x)",
      "SELECT changes(), last_insert_rowid()",
      "UPDATE many SET x = x + 1 WHERE x > 1",
      "WITH c AS (SELECT 2) DELETE FROM many",
    ]);
    t.match(results, [
      { rowsAffected: 3 },
      { kind: "changed", rowsAffected: 0 },
      { values: [[3, 3]] },
      { rowsAffected: 2 },
      { rowsAffected: 3 },
    ]);
  });
});

t.test("queries", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"]);

  t.test("query() changes nothing and says where to write", async (t) => {
    const writes = [
      "DELETE FROM t",
      "INSERT INTO t VALUES (2) RETURNING a",
      "PRAGMA user_version = 7",
      "CREATE TABLE u (a)",
      "NONSENSE",
    ];
    for (const sql of writes) {
      t.match(
        await node.queryOne(sql),
        { kind: "error", code: "read-only", message: /Send it to execute/ },
        sql,
      );
    }
    t.match(await node.queryOne("COMMIT"), { kind: "error", code: "transaction-control" });
    t.same(await node.rows("SELECT * FROM t"), [[1]]);
  });

  t.test("query() answers each statement in its place", async (t) => {
    const sql = ["SELECT 1", "DELETE FROM t", "SELECT 2", "ATTACH 'x' AS y", "SELECT nope", "SELECT 3"];
    const results = await node.store.query(planQuery(sql.map((each) => statement(each))), {
      timeoutMs: PATIENT_MS,
    });
    t.match(results, [
      { values: [[1]] },
      { code: "read-only" },
      { values: [[2]] },
      { code: "attach" },
      { kind: "error", code: "sql-error", message: "no such column: nope" },
      { values: [[3]] },
    ]);
  });

  t.test("query() rejects a result beyond its bounds", async (t) => {
    const rows = `WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ${QUERY_RESULT_LIMITS.rows + 1}) SELECT x FROM c`;
    await t.rejects(node.queryOne(rows), { code: "result-too-large", message: /100000 rows/ });
    await t.rejects(node.queryOne(`SELECT zeroblob(${QUERY_RESULT_LIMITS.bytes + 1})`), {
      code: "result-too-large",
      message: /8388608 bytes/,
    });
    t.same(await node.rows("SELECT * FROM t"), [[1]], "and goes on");
  });

  t.test("query() sees what was applied before it, committed or not", async (t) => {
    const applied = node.execute(["INSERT INTO t VALUES (2)"]);
    t.same(await node.rows("SELECT count(*) FROM t"), [[2]]);
    await applied;
  });

  t.test("query() draws real chance and time", async (t) => {
    const [[first, now] = []] = await node.rows("SELECT random(), unixepoch('now')");
    const [[second] = []] = await node.rows("SELECT random()");
    t.not(first, second);
    t.ok(Math.abs(Number(now) - Date.now() / 1000) < 60);
  });
});

t.test("positions", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());

  t.test("applied moves with every entry, with and without a command", async (t) => {
    t.same(node.store.applied, { index: 0, term: 0 });
    const results = await node.store.apply([
      { index: 1, term: 1, command: null },
      entry(2, ["CREATE TABLE t (a)"]),
      { index: 3, term: 4, command: null },
    ]);
    t.match(results, [[], [{ kind: "changed" }], []]);
    t.same(node.store.applied, { index: 3, term: 4 });
    t.same(await node.store.apply([]), []);
  });

  t.test("close() keeps the position, and what was applied", async (t) => {
    await node.reopen();
    t.same(node.store.applied, { index: 3, term: 4 });
    t.same(await node.rows("SELECT count(*) FROM t"), [[0]]);
  });

  t.test("checkpoint() empties both write-ahead logs", async (t) => {
    await node.execute(["INSERT INTO t VALUES (1)"]);
    t.same(await node.store.checkpoint(), { index: 4, term: 1 });
    for (const name of ["app.db", "state.db"]) {
      t.equal(statSync(join(node.directory, `${name}-wal`)).size, 0, name);
      t.ok(statSync(join(node.directory, name)).size > 0, name);
    }
  });

  t.test("apply() takes more entries than fit into one message or one commit", async (t) => {
    const entries = Array.from({ length: 9_000 }, (_, nth) =>
      entry(5 + nth, [statement("INSERT INTO t VALUES (?)", [nth])]),
    );
    const results = await node.store.apply(entries);
    t.equal(results.length, entries.length);
    t.ok(results.every(([result]) => result?.kind === "changed"));
    t.same(await node.rows("SELECT count(*), count(DISTINCT a) FROM t"), [[9_001, 9_000]]);
  });

  t.test("apply() gives large results of many entries, each in its place", async (t) => {
    const first = node.store.applied.index + 1;
    const entries = Array.from({ length: 20 }, (_, nth) =>
      entry(first + nth, [`SELECT ${nth}, zeroblob(900000)`]),
    );
    const results = await node.store.apply(entries);
    t.same(
      results.map(([result]) => result?.kind === "rows" && result.values[0]?.[0]),
      [...entries.keys()],
    );
    t.match(await node.executeOne("SELECT zeroblob(1048577)"), {
      code: "result-too-large",
      message: /1048576 bytes/,
    });
  });

  t.test("close() is idempotent, and everything after it is rejected", async (t) => {
    const { store } = node;
    await Promise.all([store.close(), store.close()]);
    await t.rejects(store.apply([]), { code: "store-closed" });
    await t.rejects(store.query(planQuery([statement("SELECT 1")]), { timeoutMs: 1 }), {
      code: "store-closed",
    });
    await t.rejects(store.checkpoint(), { code: "store-closed" });
  });
});

t.test("openSqliteStore() rejects a directory that cannot be used", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "trivet-store-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const options = { directory, logger: { log: () => undefined }, clock: systemClock };
  await t.rejects(openSqliteStore({ ...options, directory: join(directory, "missing") }), {
    code: "store-failed",
    message: /unable to open/,
  });
  await writeFile(
    join(directory, "app.db"),
    "this is not a database, but long enough to be read as one".repeat(99),
  );
  await t.rejects(openSqliteStore(options), { code: "store-damaged", message: /not a database/ });
});

t.test("openSqliteStore() takes away the locks of a process that was killed", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "trivet-store-"));
  t.teardown(() => rm(directory, { recursive: true }));
  await mkdir(join(directory, "app.db.lock"));
  await mkdir(join(directory, "state.db.lock"));
  const store = await openSqliteStore({ directory, logger: { log: () => undefined }, clock: systemClock });
  await store.apply(logOf("CREATE TABLE t (a)"));
  await store.close();
});

t.test("apply() counts the names of columns as a part of the results", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const columns = Array.from({ length: 700 }, (_, nth) => `"${nth}${"x".repeat(900)}"`);
  await node.execute([`CREATE TABLE wide (a, ${columns.join(", ")})`]);
  const results = await node.execute(
    Array.from({ length: 3 }, () => "UPDATE wide SET a = 1 WHERE 0 RETURNING *"),
  );
  t.match(results, [{ kind: "rows" }, { code: "result-too-large" }, { code: "result-too-large" }]);
});
