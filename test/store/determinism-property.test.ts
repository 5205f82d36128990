import fc from "fast-check";
import t from "tap";
import type { CommandResult, ResultDigest } from "../../agent/store/types.ts";
import { applyInBatches, INCIDENTS } from "./incidents.ts";
import {
  configurationEntry,
  entry,
  objectsEntry,
  PATIENT_MS,
  StoreNode,
  sessionEntry,
} from "./store-node.ts";

// Every run starts threads, which takes its time on a busy machine.
t.setTimeout(300_000);

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
  fc.constant("CREATE VIRTUAL TABLE IF NOT EXISTS f USING fts5 (x)"),
  fc.nat(9).map((n) => `INSERT INTO f VALUES ('word ${n}')`),
  fc.nat(4).map((n) => `DELETE FROM f WHERE rowid = ${n}`),
  fc.constant("DROP TABLE IF EXISTS f"),
  fc.constant("SELECT changes(), last_insert_rowid()"),
  name.map((t) => `INSERT OR IGNORE INTO ${t} (a, b) SELECT id, block FROM f_data`),
  fc.constant("NONSENSE"),
);
/** Of any of the first sessions, if they are there, and now and then again. */
const anySession = fc.option(
  fc.record({ id: fc.integer({ min: 1, max: 4 }), sequence: fc.integer({ min: 1, max: 6 }) }),
);
const anySql = fc
  .record({
    statements: fc.array(anyStatement, { minLength: 1, maxLength: 4 }),
    transaction: fc.boolean(),
    session: anySession,
  })
  .map(
    ({ statements, transaction, session }) =>
      (index: number) =>
        entry(index, statements, transaction, session),
  );
const anyKey = fc.record({
  kind: fc.constant("kind"),
  namespace: fc.constantFrom("", "n"),
  name: fc.constantFrom("a", "b"),
});
const anyRevision = fc.option(fc.nat(6), { freq: 2 });
const anyWrite = fc.oneof(
  fc.record({
    kind: fc.constant("put" as const),
    key: anyKey,
    body: fc.uint8Array({ maxLength: 3 }),
    revision: anyRevision,
  }),
  fc.record({ kind: fc.constant("delete" as const), key: anyKey, revision: anyRevision }),
  fc.record({ kind: fc.constant("compact" as const), revision: fc.nat(30) }),
);
const anyObjects = fc
  .record({ writes: fc.array(anyWrite, { minLength: 1, maxLength: 3 }), session: anySession })
  .map(
    ({ writes, session }) =>
      (index: number) =>
        objectsEntry(index, writes, session),
  );
const anyEntry = fc.oneof(
  { weight: 6, arbitrary: anySql },
  { weight: 3, arbitrary: anyObjects },
  { weight: 1, arbitrary: fc.constant(sessionEntry) },
  { weight: 1, arbitrary: fc.string().map((text) => (index: number) => configurationEntry(index, text)) },
);
const anyBatches = fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(...INCIDENTS)), {
  maxLength: 5,
});

t.test("apply() of any commands is the same for any batches and restarts", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyEntry, { minLength: 1, maxLength: 40 }),
      anyBatches,
      async (commands, batches) => {
        // A session at the beginning, or few commands would have one.
        const entries = [sessionEntry, ...commands].map((create, nth) => create(nth + 1));
        const [one, other] = await Promise.all([StoreNode.create(), StoreNode.create()]);
        const expected: CommandResult[] = [];
        const digests = new Map<number, ResultDigest>();
        for (const each of entries) {
          expected.push(...(await one.store.apply([each])));
          digests.set(each.index, one.store.digest);
        }
        const compareDigests = () => t.same(other.store.digest, digests.get(other.store.applied.index));
        t.same(await applyInBatches(other, entries, batches, compareDigests), expected);
        t.same(await other.dump(), await one.dump());
        t.same(await objectsOf(other), await objectsOf(one));
        t.same(other.store.configuration, one.store.configuration);
        await Promise.all([one.remove(), other.remove()]);
      },
    ),
    { numRuns: 12 },
  );
});

async function objectsOf({ store }: StoreNode): Promise<unknown> {
  const options = { limit: 100, bytesMax: Number.MAX_SAFE_INTEGER, timeoutMs: PATIENT_MS };
  return [await store.objects.list({ kind: "kind", ...options }), await store.objects.history(0, options)];
}
