import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type Directory, systemErrorCode } from "../../agent/platform/directory.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { seededRandom } from "./log-fixture.ts";

const scratch = await mkdtemp(join(tmpdir(), "trivet-directory-"));
t.teardown(() => rm(scratch, { recursive: true }));

const kinds: readonly { readonly name: string; readonly make: (test: string) => Promise<Directory> }[] = [
  { name: "NodeDirectory", make: (test) => NodeDirectory.open(join(scratch, test, "deep")) },
  { name: "MemoryDirectory", make: async () => new MemoryDirectory() },
];

async function write(directory: Directory, name: string, text: string, sync = true): Promise<void> {
  const file = await directory.open(name);
  await file.write(0, Buffer.from(text));
  if (sync) await file.sync();
  await file.close();
}

async function read(directory: Directory, name: string): Promise<string> {
  const file = await directory.open(name);
  const text = (await file.read(0, await file.size())).toString();
  await file.close();
  return text;
}

for (const { name, make } of kinds) {
  t.test(`${name}: write() and read() at any offset, zeros in between`, async (t) => {
    const file = await (await make("offsets")).open("a");
    t.equal(await file.size(), 0);
    await file.write(1000, Buffer.from("later"));
    await file.write(2, Buffer.from("early"));
    await file.sync();
    t.equal(await file.size(), 1005);
    t.equal((await file.read(1, 7)).toString(), "\0early\0");
    t.equal((await file.read(1000, 100)).toString(), "later", "fewer bytes where the file ends");
    t.equal((await file.read(2000, 10)).length, 0, "none behind the end");
    const bytes = await file.read(2, 5);
    bytes.fill(0);
    t.equal((await file.read(2, 5)).toString(), "early", "what was read is a copy");
    await file.close();
  });

  t.test(`${name}: list(), rename() and remove() change names`, async (t) => {
    const directory = await make("names");
    await write(directory, "b", "of b");
    await write(directory, "a", "of a");
    t.same(await directory.list(), ["a", "b"]);
    await directory.rename("a", "b");
    await directory.sync();
    t.same(await directory.list(), ["b"]);
    t.equal(await read(directory, "b"), "of a");
    await directory.remove("b");
    t.same(await directory.list(), []);
    const error: unknown = await directory.remove("b").catch((error: unknown) => error);
    t.equal(systemErrorCode(error), "ENOENT");
    t.equal(systemErrorCode(new Error("no code")), undefined);
  });
}

t.test("NodeDirectory: holds no descriptor open that was not asked for", async (t) => {
  const directory = await NodeDirectory.open(join(scratch, "handles"));
  const before = (await readdir("/proc/self/fd")).length;
  for (let round = 0; round < 20; round += 1) {
    await write(directory, "a", "some");
    await directory.sync();
  }
  t.equal((await readdir("/proc/self/fd")).length, before);
});

t.test("NodeDirectory: refuses a path for a name", async (t) => {
  const directory = await NodeDirectory.open(join(scratch, "paths"));
  await t.rejects(directory.open("../outside"), { name: "InvariantError" });
});

t.test("MemoryDirectory: crash() keeps what was synced and any part of the rest", async (t) => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed += 1) {
    const directory = new MemoryDirectory();
    const file = await directory.open("a");
    await file.write(0, Buffer.alloc(1536, "o"));
    await file.sync();
    await directory.sync();
    await file.write(0, Buffer.alloc(2048, "n"));
    const after = directory.crash(seededRandom(seed));
    const found = await read(after, "a");
    t.match(found, /^(o{512}|n{512}){3}(\0{512}|n{512})?$/, "whole sectors, old or new");
    seen.add(found.replace(/(.)\1{511}/gs, "$1"));
  }
  for (const outcome of ["ooo", "nnnn", "ono", "noo\0", "oon"]) t.ok(seen.has(outcome), `${outcome} happens`);
});

t.test("MemoryDirectory: crash() may lose names that were not synced, and their loss", async (t) => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed += 1) {
    const directory = new MemoryDirectory();
    await write(directory, "a", "of a");
    await directory.sync();
    await directory.rename("a", "b");
    await write(directory, "c", "of c");
    const after = directory.crash(seededRandom(seed));
    const names = await after.list();
    t.equal(names.filter((name) => name !== "c").length, 1, "a rename is atomic");
    seen.add(names.join());
  }
  t.same([...seen].sort(), ["a", "a,c", "b", "b,c"]);
});

t.test(
  "MemoryDirectory: what a failed sync() dropped is readable, and gone after a crash for all later syncs",
  async (t) => {
    const directory = new MemoryDirectory();
    await write(directory, "a", "old");
    await directory.sync();
    const file = await directory.open("a");
    await file.write(0, Buffer.from("new"));
    directory.onCall = ({ operation }) => (operation === "sync" ? "EIO" : undefined);
    await t.rejects(file.sync(), { code: "EIO" });
    directory.onCall = undefined;
    await file.sync();
    const killed = directory.kill();
    t.equal(await read(killed, "a"), "new");
    t.equal(await read(killed.crash(seededRandom(1)), "a"), "old");
  },
);

t.test("MemoryDirectory: a failed write() leaves half of it, a halted call never settles", async (t) => {
  const directory = new MemoryDirectory();
  const file = await directory.open("a");
  directory.onCall = ({ operation }) => (operation === "write" ? "ENOSPC" : undefined);
  await t.rejects(file.write(0, Buffer.from("abcd")), { code: "ENOSPC" });
  t.equal((await file.read(0, 9)).toString(), "ab");
  t.equal(directory.count("write"), 1);
  directory.onCall = ({ operation }) => (operation === "sync" ? "halt" : undefined);
  let settled = false;
  void file.sync().finally(() => {
    settled = true;
  });
  for (let turn = 0; turn < 20; turn += 1) await null;
  t.notOk(settled);
});
