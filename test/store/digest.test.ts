import t from "tap";
import type { ObjectWrite } from "../../agent/store/objects.ts";
import type { StoreEntry } from "../../agent/store/types.ts";
import { configurationEntry, entry, objectsEntry, StoreNode, sessionEntry, timeOf } from "./store-node.ts";

const put: ObjectWrite = {
  kind: "put",
  key: { kind: "role", namespace: "", name: "a" },
  body: Buffer.from("x"),
  revision: null,
};

async function digestOf(entries: readonly StoreEntry[]): Promise<string> {
  const node = await StoreNode.create();
  await node.store.apply(entries);
  const { index, hash } = node.store.digest;
  await node.remove();
  return `${index} ${Buffer.from(hash).toString("hex")}`;
}

const LOG = [
  entry(1, ["CREATE TABLE t (a)", "INSERT INTO t VALUES (random())", "NONSENSE"]),
  sessionEntry(2),
  objectsEntry(3, [put], { id: 2, sequence: 1 }),
  configurationEntry(4, "members"),
  entry(5, ["SELECT a FROM t"], false, { id: 2, sequence: 2 }),
] as const;

t.test("Store.digest is what it always was", async (t) => {
  t.equal(
    await digestOf([]),
    "0 f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
    "SHA-256 of 64 zeros",
  );
  t.equal(await digestOf(LOG), "5 148aadd5a4e1f582705edc2c77a009f3f64981f6b09a068179da539fba8bb78a");
});

t.test("Store.digest tells every difference in what was answered", async (t) => {
  const withChanged = (changed: StoreEntry) =>
    LOG.map((each) => (each.index === changed.index ? changed : each));
  const variants = [
    LOG,
    withChanged(entry(1, ["CREATE TABLE t (a)", "INSERT INTO t VALUES (random())", "OTHER NONSENSE"])),
    withChanged(objectsEntry(3, [{ ...put, revision: 1 }], { id: 2, sequence: 1 })),
    withChanged(configurationEntry(4, "other members")),
    withChanged(entry(5, ["SELECT a + 1 AS a FROM t"], false, { id: 2, sequence: 2 })),
  ];
  const digests = await Promise.all(variants.map(digestOf));
  t.equal(new Set(digests).size, variants.length, digests.join("\n"));
});

t.test("Store.configuration is the newest that was applied", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  t.equal(node.store.configuration, null);
  await node.store.apply([configurationEntry(1, "one")]);
  const both = { ...entry(2, ["SELECT 1"]), configuration: Buffer.from("two") };
  t.match(await node.store.apply([both]), [[{ values: [[1]] }]], "an entry may have a command too");
  await node.execute(["CREATE TABLE t (a)"]);
  for (const reopen of [async () => undefined, () => node.reopen()]) {
    await reopen();
    t.equal(node.store.configuration?.index, 2);
    t.equal(Buffer.from(node.store.configuration?.bytes ?? []).toString(), "two");
  }
});

t.test("Store.lastTimeMs is that of the newest command, also when the log has none any more", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  t.equal(node.store.lastTimeMs, 0);
  await node.store.apply([sessionEntry(1), objectsEntry(2, [put]), configurationEntry(3, "members")]);
  t.equal(node.store.lastTimeMs, timeOf(2));
  await node.reopen();
  t.equal(node.store.lastTimeMs, timeOf(2));
});
