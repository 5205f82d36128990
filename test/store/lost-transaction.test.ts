import t from "tap";
import { entry, StoreNode } from "./store-node.ts";

// Every restart starts a thread.
t.setTimeout(120_000);

/** INSERTs into `full` without a rowid fail from here on: SQLite ends the whole transaction with some of them. */
const EXHAUSTED = [
  "CREATE TABLE full (a INTEGER PRIMARY KEY AUTOINCREMENT, b)",
  "INSERT INTO full VALUES (9223372036854775807, 0)",
];
const INSERT_INTO_FULL = "INSERT INTO full (b) VALUES (1)";

t.test(
  "apply() of a statement that makes SQLite drop the transaction, between writes into a full-text table",
  async (t) => {
    const [node, other] = await Promise.all([StoreNode.create(), StoreNode.create()]);
    t.teardown(() => Promise.all([node.remove(), other.remove()]));
    const log = [
      entry(1, ["CREATE VIRTUAL TABLE f USING fts5 (a)", ...EXHAUSTED]),
      entry(2, ["INSERT INTO f VALUES ('one')"]),
      entry(3, ["INSERT INTO f VALUES ('two')"]),
      entry(4, [INSERT_INTO_FULL]),
      entry(5, ["INSERT INTO f VALUES ('three')"]),
    ];
    for (const each of log.slice(0, 1)) await node.store.apply([each]);
    const atOnce = await node.store.apply(log.slice(1));
    t.match(atOnce, [
      [{ kind: "changed" }],
      [{ kind: "changed" }],
      [{ kind: "error", code: "rowid-exhausted" }],
      [{ kind: "changed" }],
    ]);
    const byOne = [];
    for (const each of log) byOne.push(...(await other.store.apply([each])));
    t.same(atOnce, byOne.slice(1));
    t.same(node.store.digest, other.store.digest);
    t.same(await node.rows("SELECT a FROM f"), [["one"], ["two"], ["three"]]);
    await node.reopen();
    t.same(node.store.applied, { index: 5, term: 1 });
  },
);
