import t from "tap";
import { applyInBatches, INCIDENTS } from "./incidents.ts";
import { entry, logOf, StoreNode } from "./store-node.ts";

// Every restart starts a thread, which takes its time on a busy machine.
t.setTimeout(300_000);

/** Everything the issue lists, and every other source of chance, time and memory of the connection known. */
const LOG = logOf(
  [
    "CREATE TABLE t (a, b)",
    "CREATE TABLE d (id INTEGER PRIMARY KEY, at DEFAULT CURRENT_TIMESTAMP, x DEFAULT (random()), y DEFAULT (hex(randomblob(4))))",
    "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, tag, at)",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO audit (tag, at) VALUES (randomblob(8), julianday('now', 'subsec')); END",
  ],
  "INSERT INTO t VALUES (random(), datetime('now'))",
  "INSERT INTO t SELECT value, CURRENT_TIME FROM json_each('[1,2,3,4,5,6,7,8]') ORDER BY random()",
  ["INSERT INTO d DEFAULT VALUES", "INSERT INTO d DEFAULT VALUES"],
  ["SELECT last_insert_rowid(), changes()"],
  ["INSERT INTO d DEFAULT VALUES", "INSERT INTO t VALUES (last_insert_rowid(), changes())"],
  "INSERT INTO t VALUES (last_insert_rowid(), changes())",
  "INSERT INTO t VALUES (datetime('now', 'localtime'), strftime('%s %f', 'now'))",
  "INSERT INTO t VALUES (unixepoch('subsec'), date('now', '-1 day', 'utc'))",
  "INSERT INTO t SELECT a, random() FROM t WHERE random() % 2 = 0",
  "UPDATE t SET b = randomblob(abs(random()) % 20) WHERE rowid IN (SELECT rowid FROM t ORDER BY random() LIMIT 3)",
  "SELECT random(), hex(randomblob(16)), hex(randomblob(600)), CURRENT_DATE, CURRENT_TIMESTAMP",
  "SELECT group_concat(a) FROM (SELECT a FROM t ORDER BY random())",
  ["CREATE TABLE big (id INTEGER PRIMARY KEY, x)", "INSERT INTO big VALUES (9223372036854775807, 'last')"],
  "INSERT INTO big (x) VALUES ('at random?')",
  ["INSERT INTO big (x) VALUES ('again?')", "INSERT INTO big VALUES (5, 'chosen')"],
  // What last_insert_rowid() has seen of a rowid that was refused must not show.
  [
    "INSERT INTO big (x) VALUES ('at random?')",
    "CREATE TABLE IF NOT EXISTS big (x)",
    "INSERT INTO t VALUES (last_insert_rowid(), changes())",
  ],
  "INSERT INTO audit (id) VALUES (9223372036854775807)",
  "INSERT INTO audit (tag) VALUES ('full')",
  [
    "INSERT INTO d DEFAULT VALUES",
    "INSERT OR IGNORE INTO audit (tag) VALUES ('full')",
    "INSERT INTO d DEFAULT VALUES",
  ],
  "DELETE FROM audit WHERE id = 9223372036854775807",
  ["CREATE TABLE p (a, b, c)", "CREATE INDEX pa ON p (a)", "CREATE INDEX pb ON p (b)"],
  "INSERT INTO p SELECT value, value % 3, random() FROM json_each('[9,8,7,6,5,4,3,2,1,0,11,12,13,14,15]')",
  "ANALYZE",
  "CREATE TABLE q AS SELECT * FROM p WHERE a > 2 AND b = 1",
  [
    "DELETE FROM p",
    "INSERT INTO p SELECT value % 2, value, 0 FROM json_each('[9,8,7,6,5,4,3,2,1,0,11,12,13,14,15]')",
  ],
  ["ALTER TABLE p RENAME TO p2", "CREATE TABLE p (a, b, c)", "CREATE INDEX pc ON p (b)"],
  "INSERT INTO q SELECT * FROM p2 WHERE a = 1 AND b > 3",
  "ANALYZE",
  "INSERT INTO q SELECT p2.* FROM p2 JOIN q USING (b)",
  ["CREATE VIRTUAL TABLE f USING fts5 (words)", "INSERT INTO f VALUES ('one two'), ('two three')"],
  "INSERT INTO f VALUES ('three ' || hex(randomblob(2)))",
  // A full-text table writes down at a savepoint what it has gathered since the transaction began, and counts it.
  ["CREATE TABLE counted (a, b)", "INSERT INTO counted SELECT changes(), last_insert_rowid()"],
  "INSERT INTO f VALUES ('five')",
  "INSERT INTO counted SELECT changes(), last_insert_rowid()",
  "INSERT INTO f VALUES ('six')",
  ["SELECT changes()", "INSERT INTO counted SELECT changes(), last_insert_rowid()"],
  "INSERT INTO f VALUES ('seven')",
  "INSERT INTO counted SELECT id, block FROM f_data",
  [
    "SELECT rowid, rank FROM f WHERE f MATCH 'three' ORDER BY rank",
    "UPDATE f SET words = 'four' WHERE rowid = 2",
  ],
  // The statistics of a table that was renamed wait in the file for the next one of its name: the planner of a node
  // that starts knows them, and joins in another order.
  [
    "CREATE TABLE j1 (a, x)",
    "CREATE INDEX j1a ON j1 (a)",
    "CREATE TABLE j2 (a, y)",
    "CREATE INDEX j2a ON j2 (a)",
    "INSERT INTO j2 SELECT 20 - value, value FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]')",
    "ANALYZE",
  ],
  ["ALTER TABLE j2 RENAME TO k2", "CREATE TABLE j2 (a, y)", "CREATE INDEX j2b ON j2 (a)"],
  "INSERT INTO j1 VALUES (1, 1), (2, 2), (3, 3)",
  "INSERT INTO j2 VALUES (3, 3), (2, 2), (1, 1)",
  "CREATE TABLE j3 AS SELECT j1.x, j2.y FROM j1, j2 WHERE j1.a = j2.a",
  ["PRAGMA user_version = 12", "PRAGMA user_version"],
);

t.test("apply() gives the same results and data, however the entries arrive", async (t) => {
  const reference = await StoreNode.create();
  const expected = await reference.store.apply(LOG);
  const dump = await reference.dump();
  const { digest } = reference.store;
  t.equal(digest.index, LOG.length);
  await reference.remove();

  const errors = expected.flat().filter((result) => result.kind === "error");
  t.same(
    errors.map(({ code }) => code),
    Array.from({ length: 5 }, () => "rowid-exhausted"),
    "only the exhausted rowids fail",
  );
  t.equal(expected.length, LOG.length);

  for (const incident of INCIDENTS) {
    t.test(`one at a time, after every second: ${incident}`, async (t) => {
      const node = await StoreNode.create();
      t.teardown(() => node.remove());
      const results = await applyInBatches(
        node,
        LOG,
        LOG.map((_, nth) => [1, nth % 2 === 0 ? incident : "nothing"] as const),
      );
      t.same(results, expected);
      t.same(await node.dump(), dump);
      t.same(node.store.digest, digest);
    });
  }
});

t.test("apply() of ANALYZE counts the same before and after the first commit", async (t) => {
  const before = await StoreNode.create();
  const after = await StoreNode.create();
  t.teardown(() => Promise.all([before.remove(), after.remove()]));
  const log = logOf("CREATE TABLE t (a)", "ANALYZE");
  await before.store.apply(log);
  await after.store.apply(log.slice(0, 1));
  await after.store.checkpoint();
  await after.store.apply(log.slice(1));
  t.same(await after.dump(), await before.dump());
});

t.test("apply() resets last_insert_rowid() and changes() for each entry", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (7), (8)"]);
  t.match(await node.executeOne("SELECT last_insert_rowid(), changes()"), { values: [[0, 0]] });
});

t.test("apply() uses the time and the seed of the entry", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const [[first] = []] = await node.store.apply([entry(1, ["SELECT unixepoch('subsec'), random()"])]);
  const [[same] = []] = await node.store.apply([
    { ...entry(1, ["SELECT unixepoch('subsec'), random()"]), index: 2 },
  ]);
  const [[other] = []] = await node.store.apply([entry(3, ["SELECT unixepoch('subsec'), random()"])]);
  t.same(first, same);
  t.match(first, { values: [[1_700_000_001.234, 8117451300273366607n]] }, "fixed for ever");
  t.notSame(first, other);
});

t.test("apply() takes UTC for local time in any time zone", async (t) => {
  const zone = process.env["TZ"];
  process.env["TZ"] = "Asia/Kolkata";
  t.teardown(() => {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
  });
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  t.not(new Date(0).getHours(), 0, "the process is elsewhere");
  t.match(
    await node.executeOne(
      "SELECT datetime('now', 'localtime') = datetime('now'), datetime(0, 'unixepoch', 'utc')",
    ),
    {
      values: [[1, "1970-01-01 00:00:00"]],
    },
  );
});
