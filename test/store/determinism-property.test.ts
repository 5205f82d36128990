import fc from "fast-check";
import t from "tap";
import { applyInBatches, INCIDENTS } from "./incidents.ts";
import { entry, StoreNode } from "./store-node.ts";

// Every run starts threads, which takes its time on a busy machine.
t.setTimeout(120_000);

const name = fc.constantFrom("t1", "t2", "t3");
const value = fc.constantFrom(
  "1",
  "2",
  "'x'",
  "NULL",
  "random()",
  "randomblob(3)",
  "datetime('now')",
  "last_insert_rowid()",
  "changes()",
);
const anyStatement = fc.oneof(
  name.map(
    (t) => `CREATE TABLE IF NOT EXISTS ${t} (id INTEGER PRIMARY KEY, a, b DEFAULT (random()), UNIQUE (a))`,
  ),
  fc.tuple(name, value).map(([t, v]) => `INSERT INTO ${t} (a) VALUES (${v})`),
  fc
    .tuple(name, value)
    .map(([t, v]) => `INSERT OR REPLACE INTO ${t} (a, b) VALUES (${v}, 1), (2, ${v}) RETURNING *`),
  fc
    .tuple(name, name)
    .map(([t, u]) => `INSERT OR IGNORE INTO ${t} (a) SELECT b FROM ${u} ORDER BY random() LIMIT 3`),
  fc.tuple(name, value).map(([t, v]) => `UPDATE ${t} SET b = ${v} WHERE a = ${v} OR id % 2 = 1`),
  fc.tuple(name, fc.nat(4)).map(([t, n]) => `DELETE FROM ${t} WHERE id = ${n}`),
  name.map((t) => `SELECT * FROM ${t} ORDER BY random()`),
  name.map((t) => `DROP TABLE IF EXISTS ${t}`),
  name.map((t) => `CREATE INDEX IF NOT EXISTS i_${t} ON ${t} (b)`),
  name.map((t) => `INSERT INTO ${t} (id) VALUES (9223372036854775807)`),
  fc.constant("ANALYZE"),
  fc.constant("NONSENSE"),
);
const anyCommand = fc.record({
  statements: fc.array(anyStatement, { minLength: 1, maxLength: 4 }),
  transaction: fc.boolean(),
});
const anyBatches = fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(...INCIDENTS)), {
  maxLength: 5,
});

t.test("apply() of any commands is the same for any batches and restarts", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyCommand, { minLength: 1, maxLength: 40 }),
      anyBatches,
      async (commands, batches) => {
        const entries = commands.map(({ statements, transaction }, nth) =>
          entry(nth + 1, statements, transaction),
        );
        const [one, other] = await Promise.all([StoreNode.create(), StoreNode.create()]);
        const expected = await one.store.apply(entries);
        t.same(await applyInBatches(other, entries, batches), expected);
        t.same(await other.dump(), await one.dump());
        await Promise.all([one.remove(), other.remove()]);
      },
    ),
    { numRuns: 12 },
  );
});
