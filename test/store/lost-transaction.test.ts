import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { checkStatement } from "../../agent/store/sql-check.ts";
import type { CommandResult, SqlStatement } from "../../agent/store/types.ts";
import { entry, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

// Every restart starts a thread.
t.setTimeout(300_000);

const countingWorker = new URL("./faulty-worker.js", import.meta.url);

/** SQLite would end the whole transaction with an INSERT into `full` that leaves the rowid to it. */
const EXHAUSTED = [
  "CREATE TABLE full (a INTEGER PRIMARY KEY AUTOINCREMENT, b)",
  "INSERT INTO full VALUES (9223372036854775807, 0)",
] as const;
const INTO_FULL = "INSERT INTO full (b) VALUES (1)";
/** And with this one it does, because it compiles it once more, for the value of the parameter. */
const LOSES = statement("INSERT INTO full (b) SELECT b FROM full LIMIT ?", [5]);
const FAILED = { kind: "error", code: "rowid-exhausted" } as const;

async function createNode(t: Test): Promise<StoreNode> {
  const node = await StoreNode.create({ workerUrl: countingWorker });
  t.teardown(() => node.remove());
  return node;
}

async function countWorkers(node: StoreNode): Promise<number> {
  const starts = await readFile(join(node.directory, "starts"), "utf8");
  return starts.split("\n").length - 1;
}

function kindsOf(results: CommandResult): readonly string[] {
  return results.map(({ kind }) => kind);
}

t.test("an INSERT that finds no rowid left costs nothing but itself", async (t) => {
  const node = await createNode(t);
  await node.execute([...EXHAUSTED, "CREATE TABLE u (a)"]);

  await t.test("between other entries", async (t) => {
    const log = Array.from({ length: 20 }, (_, nth) => [
      entry(2 + 2 * nth, [INTO_FULL]),
      entry(3 + 2 * nth, [`INSERT INTO u VALUES (${nth})`]),
    ]).flat();
    const results = await node.store.apply(log);
    for (const result of results.filter((_, nth) => nth % 2 === 0)) t.match(result, [FAILED]);
    t.same(await node.rows("SELECT count(*), count(DISTINCT a) FROM u"), [[20, 20]]);
  });

  await t.test("between other statements, whatever it does on a conflict", async (t) => {
    const failing = ["", "OR IGNORE", "OR FAIL", "OR REPLACE", "OR ABORT"].map(
      (conflict) => `INSERT ${conflict} INTO full (b) VALUES (1), (2)`,
    );
    const statements = failing.flatMap((sql) => [sql, "INSERT INTO u VALUES ('between')"]);
    const results = await node.execute([...statements, `${INTO_FULL} RETURNING b`]);
    t.same(kindsOf(results), [...failing.flatMap(() => ["error", "changed"]), "error"]);
    t.same(await node.rows("SELECT count(*) FROM u WHERE a = 'between'"), [[failing.length]]);
  });

  await t.test("in a transaction, of which nothing remains", async (t) => {
    const results = await node.execute(["INSERT INTO u VALUES ('undone')", INTO_FULL], true);
    t.match(results, [{ kind: "changed" }, FAILED]);
    t.same(await node.rows("SELECT count(*) FROM u WHERE a = 'undone'"), [[0]]);
  });

  await t.test("behind changes of the schema: done, failed and undone", async (t) => {
    for (const [change, kind] of [
      ["CREATE TABLE v (a)", "changed"],
      ["CREATE TABLE v (a)", "error"],
      ["CREATE TABLE w AS SELECT abs(-9223372036854775808)", "error"],
      ["CREATE INDEX i ON u (a)", "changed"],
      ["ANALYZE", "changed"],
      ["ALTER TABLE u ADD COLUMN b", "changed"],
      ["DROP INDEX i", "changed"],
    ] as const) {
      const results = await node.execute([INTO_FULL, change, INTO_FULL, "INSERT INTO u (a) VALUES (0)"]);
      t.same(kindsOf(results), ["error", kind, "error", "changed"], change);
    }
    t.match(await node.execute(["CREATE TABLE w (a)", INTO_FULL], true), [{ kind: "changed" }, FAILED]);
    t.match(await node.execute([INTO_FULL]), [FAILED]);
    t.match(await node.execute(["CREATE TABLE w (a)", INTO_FULL]), [{ kind: "changed" }, FAILED]);
  });

  await t.test("by a trigger", async (t) => {
    await node.execute([`CREATE TRIGGER g AFTER DELETE ON v BEGIN ${INTO_FULL}; END`]);
    await node.execute(["INSERT INTO v VALUES (1)"]);
    t.match(await node.execute(["DELETE FROM v"]), [FAILED]);
    t.same(await node.rows("SELECT a FROM v"), [[1]]);
  });

  t.equal(await countWorkers(node), 1);
});

t.test("a lost transaction costs a worker, and no entry is lost or done twice", async (t) => {
  const node = await createNode(t);
  const other = await createNode(t);
  const log = [
    entry(1, ["CREATE VIRTUAL TABLE f USING fts5 (a)", "CREATE TABLE u (a)", ...EXHAUSTED]),
    // The second of these has the first committed, in the middle of what is applied at once.
    entry(2, ["INSERT INTO f VALUES ('one')"]),
    entry(3, ["INSERT INTO f VALUES ('two')"]),
    entry(4, ["INSERT INTO u VALUES (1)", LOSES, "INSERT INTO u VALUES (2)"]),
    entry(5, ["INSERT INTO f VALUES ('three')"]),
  ];
  await node.store.apply(log.slice(0, 1));
  const atOnce = await node.store.apply(log.slice(1));
  t.same(atOnce.map(kindsOf), [["changed"], ["changed"], ["changed", "error", "changed"], ["changed"]]);
  t.match(atOnce[2]?.[1], FAILED);
  t.equal(await countWorkers(node), 2);

  const byOne: CommandResult[] = [];
  for (const each of log) byOne.push(...(await other.store.apply([each])));
  t.same(atOnce, byOne.slice(1));
  t.same(node.store.digest, other.store.digest);
  await node.reopen();
  t.same(node.store.applied, { index: 5, term: 1 });
  t.same(await node.rows("SELECT a FROM f"), [["one"], ["two"], ["three"]]);
  t.same(await node.rows("SELECT a FROM u"), [[1], [2]]);
});

t.test("rehearse() refuses what would cost every node a worker", async (t) => {
  const node = await createNode(t);
  await node.execute([...EXHAUSTED, "CREATE TABLE u (a)"]);
  const rehearse = (...statements: readonly SqlStatement[]) =>
    node.store.rehearse(statements, { transaction: false, timeoutMs: PATIENT_MS, timeMs: 0 });
  t.match(
    checkStatement(LOSES.sql),
    { ok: true, passes: Number.POSITIVE_INFINITY },
    "so it is always tried out",
  );
  const create = statement("CREATE TABLE w (a)");
  await t.rejects(rehearse(create, LOSES), { code: "too-expensive", message: /no rowid left/ });
  await t.resolves(rehearse(create, statement(INTO_FULL), statement("INSERT INTO u VALUES (1)")));
  t.same(await node.rows("SELECT count(*) FROM u"), [[0]]);
  t.match(await node.execute([INTO_FULL, "CREATE TABLE w (a)"]), [FAILED, { kind: "changed" }]);
  t.equal(await countWorkers(node), 1);
});
