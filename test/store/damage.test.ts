import { cp, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { StoreNode } from "./store-node.ts";

const PAGE_BYTES = 4096;
const DAMAGED = { code: "store-damaged" };
const ROWS = 200;

async function createNode(t: Test): Promise<StoreNode> {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a INTEGER PRIMARY KEY, b)"]);
  const insert = "INSERT INTO t (b) VALUES (hex(randomblob(300)))";
  await node.execute(Array.from({ length: ROWS }, () => insert));
  return node;
}

/** Overwrites all pages from the middle of the file on: rows, and nothing that is read when it is opened. */
async function spoilRows(path: string): Promise<void> {
  const pages = (await stat(path)).size / PAGE_BYTES;
  const file = await open(path, "r+");
  const middle = Math.ceil(pages / 2);
  await file.write(Buffer.alloc((pages - middle) * PAGE_BYTES, 0xa5), 0, undefined, middle * PAGE_BYTES);
  await file.close();
}

/** The files of an open store, as a process leaves them that is killed now. */
async function copyOfKilled(t: Test, node: StoreNode): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "trivet-killed-"));
  t.teardown(() => rm(directory, { recursive: true }));
  await cp(node.directory, directory, { recursive: true });
  return directory;
}

t.test("openSqliteStore() rejects files that are no sound databases", async (t) => {
  const node = await createNode(t);
  for (const [what, name, damage] of [
    ["something else", "state.db", (path: string) => writeFile(path, "no database at all".repeat(1000))],
    ["cut", "app.db", (path: string) => truncate(path, 5 * PAGE_BYTES)],
  ] as const) {
    const path = join(node.directory, name);
    await node.reopenAfter(async () => {
      const whole = await readFile(path);
      await damage(path);
      await t.rejects(StoreNode.open(node.directory), DAMAGED, what);
      await writeFile(path, whole);
    });
    t.same(await node.rows("SELECT count(*) FROM t"), [[ROWS]], "the other files are as they were");
  }
});

t.test("openSqliteStore() finds damage that nothing reads, if the last process was cut off", async (t) => {
  const node = await createNode(t);
  await node.store.checkpoint();
  await node.execute(["CREATE TABLE u (a)"]);
  const sound = await StoreNode.open(await copyOfKilled(t, node));
  t.same(await sound.rows("SELECT count(*) FROM t"), [[ROWS]]);
  await sound.store.close();
  await spoilRows(join(sound.directory, "app.db"));
  const unchecked = await StoreNode.open(sound.directory);
  t.same(await unchecked.rows("SELECT 1"), [[1]], "after a clean end the start is not held up");
  await unchecked.store.close();

  const cutOff = await copyOfKilled(t, node);
  await spoilRows(join(cutOff, "app.db"));
  await t.rejects(StoreNode.open(cutOff), { code: "store-damaged", message: /malformed/ });
});

t.test("apply() refuses to write the tables of a full-text index, which would stop every node", async (t) => {
  const node = await createNode(t);
  await node.execute(["CREATE VIRTUAL TABLE words USING fts5 (a)", "INSERT INTO words VALUES ('one two')"]);
  for (const breaking of ["DELETE FROM words_data", "DROP TABLE words_data"]) {
    t.match(await node.execute([breaking]), [{ kind: "error", code: "sql-error" }], breaking);
  }
  t.match(await node.execute(["INSERT INTO words VALUES ('three')"]), [{ kind: "changed" }]);
  t.match(await node.execute(["INSERT INTO words (words) VALUES ('rebuild')"]), [{ kind: "changed" }]);
  t.same(await node.rows("SELECT a FROM words ('three')"), [["three"]]);
  const changes = ["ALTER TABLE words RENAME TO text", "DROP TABLE text"];
  t.match(await node.execute(changes), [{ kind: "changed" }, { kind: "changed" }]);
});

t.test("a full-text index that the user has broken is an answer, and no damage", async (t) => {
  const node = await createNode(t);
  await node.execute([
    "CREATE VIRTUAL TABLE words USING fts5 (b, content='t', content_rowid='a')",
    "INSERT INTO words (words) VALUES ('rebuild')",
    "DELETE FROM t WHERE a > 50",
    "INSERT INTO words (words, rowid, b) VALUES ('delete', 7, 'never there')",
  ]);
  const check = "INSERT INTO words (words, rank) VALUES ('integrity-check', 1)";
  t.match(await node.execute([check]), [{ kind: "error", code: "broken-index", message: /rebuild/ }]);
  const again = await StoreNode.open(await copyOfKilled(t, node));
  t.same(await again.rows("SELECT count(*) FROM t"), [[50]], "and the next start is none the worse");
  await again.store.close();
});

t.test("a damaged page that is met at run time ends the store with store-damaged", async (t) => {
  for (const [what, meet] of [
    ["query()", (node: StoreNode): Promise<unknown> => node.queryOne("SELECT sum(length(b)) FROM t")],
    ["apply()", (node: StoreNode): Promise<unknown> => node.execute(["UPDATE t SET b = b || 'x'"])],
  ] as const) {
    const node = await createNode(t);
    await node.reopenAfter(() => spoilRows(join(node.directory, "app.db")));
    t.same(await node.rows("SELECT b IS NULL FROM t WHERE a = 1"), [[0]]);
    await t.rejects(meet(node), { code: "store-damaged", message: /malformed/ }, what);
    await t.rejects(node.store.checkpoint(), DAMAGED);
    await t.rejects(node.queryOne("SELECT 1"), DAMAGED);
    await t.rejects(node.store.openSnapshot(), DAMAGED);
  }
});
