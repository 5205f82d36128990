import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type Test, t } from "tap";
import { DataDirectory } from "../../agent/membership/data-directory.ts";
import { type NodeRecord, readNodeRecord, writeNodeRecord } from "../../agent/membership/node-record.ts";
import { moveToQuarantine, thinOutQuarantine } from "../../agent/membership/quarantine.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { systemRandom } from "../../agent/platform/random.ts";

async function newPath(t: Test): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "trivet-test-"));
  t.teardown(() => rm(parent, { recursive: true, force: true }));
  return join(parent, "data");
}

const open = (path: string): Promise<DataDirectory> => DataDirectory.open(path, systemRandom, systemClock);

/** As the log does at its first opening. */
const makeLog = (path: string): Promise<void> => writeFile(join(path, "raft", "segment"), "x");

async function loseRecord(path: string): Promise<void> {
  for (const name of ["node.json", "node.json.copy"]) await rm(join(path, name));
}

t.test("open() makes an identity once, and a new session each time", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await makeLog(path);
  await first.joinCluster("c", true);
  await first.close();
  const second = await open(path);
  t.equal(second.identity.nodeId, first.identity.nodeId);
  t.match(first.identity.nodeId, /^[0-9a-f]{32}$/);
  t.equal(second.memberId, first.memberId);
  t.equal(second.clusterId, "c");
  t.ok(second.session > first.session);
  const { mode } = await stat(join(path, "identity.key"));
  t.equal(mode & 0o777, 0o600, "nobody else may read the key");
  await second.close();
});

t.test("open() refuses a directory that another holds, until that one lets go", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await t.rejects(open(path), { code: "data-locked", message: /--data/ });
  await first.close();
  await (await open(path)).close();
});

/** Opens and closes the directory in a process that has its own network namespace (unshare(1)). */
async function openElsewhere(path: string): Promise<readonly [number | null, string]> {
  const script = `const data = await (${openerOf(path)}); await data.close();`;
  const child = spawn("unshare", ["-n", process.execPath, "--input-type=module", "-e", script]);
  const [stderr] = await Promise.all([text(child.stderr), once(child, "close")]);
  return [child.exitCode, stderr];
}

/** JavaScript for another process: a promise of the opened directory. */
function openerOf(path: string): string {
  const [data, random, clock] = ["membership/data-directory", "platform/random", "platform/clock"].map(
    (name) => JSON.stringify(new URL(`../../agent/${name}.js`, import.meta.url)),
  );
  return `Promise.all([import(${data}), import(${random}), import(${clock})]).then(([d, r, c]) =>
    d.DataDirectory.open(${JSON.stringify(path)}, r.systemRandom, c.systemClock))`;
}

t.test("the lock dies with its process, however that ends", async (t) => {
  const path = await newPath(t);
  const script = `await (${openerOf(path)}); console.log("open"); setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await t.rejects(open(path), { code: "data-locked" });
  child.kill("SIGKILL");
  await once(child, "exit");
  await (await open(path)).close();
});

t.test("a member that lost its log, or its record, is not itself any more", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await makeLog(path);
  await first.joinCluster("c", true);
  t.equal(first.lostLog, null);
  await first.close();
  const log = join(path, "raft", "segment");
  await rm(log);
  const second = await open(path);
  t.match(second.lostLog, { code: "log-lost", message: /the log in raft\/ is gone/ });
  await second.close();
  const again = await open(path);
  t.match(again.lostLog, { code: "log-lost" }, "and stays so");
  await again.close();
  await makeLog(path);
  await loseRecord(path);
  await t.rejects(open(path), { code: "log-lost", message: /no node\.json/ });
  t.equal(await readFile(log, "utf8"), "x", "the log is left alone");
});

t.test("beginAnew() keeps what was damaged and makes another member of the node", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await makeLog(path);
  await writeFile(join(path, "app.db"), "a");
  await writeFile(join(path, "app.db-wal"), "w");
  await first.joinCluster("c", true);
  const old = first.memberId;
  const slot = await first.beginAnew(systemRandom);
  t.not(first.memberId, old);
  t.equal(first.memberId.slice(0, 32), old.slice(0, 32), "on the same node");
  t.ok(first.isRejoining && first.mayBeBlank);
  t.equal(await readFile(join(slot, "raft", "segment"), "utf8"), "x");
  t.equal(await readFile(join(slot, "app.db"), "utf8"), "a");
  t.equal(await readFile(join(slot, "app.db-wal"), "utf8"), "w");
  t.strictSame(await readdir(join(path, "raft")), []);
  const anew = first.memberId;
  await first.close();

  const second = await open(path);
  t.equal(second.lostLog, null, "it has said nothing yet, so it may begin its log again");
  t.equal(second.memberId, anew);
  await makeLog(path);
  await second.beganLog();
  t.notOk(second.mayBeBlank);
  await second.close();
  await rm(join(path, "raft", "segment"));
  const third = await open(path);
  t.match(third.lostLog, { code: "log-lost" }, "from then on it is lost with its log");
  t.ok(third.isRejoining);
  await third.tookPlace();
  t.notOk(third.isRejoining);
  await third.close();
});

t.test("a move to quarantine that was cut off is finished at the next start", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await makeLog(path);
  await writeFile(join(path, "app.db"), "a");
  await first.joinCluster("c", true);
  await first.close();
  // As after a crash: the record is written, one of the two has moved.
  const directory = await NodeDirectory.open(path);
  const record = await readNodeRecord(directory);
  if (record === null) throw new Error("there is no record");
  const rejoin = { slot: 7, stage: "emptying" } as const;
  await writeNodeRecord(directory, { ...record, incarnation: "00000002", rejoin });
  await mkdir(join(path, "quarantine", "7"), { recursive: true });
  await rename(join(path, "raft"), join(path, "quarantine", "7", "raft"));
  const second = await open(path);
  t.match(second.memberId, /\.00000002$/);
  t.equal(second.lostLog, null);
  t.ok(second.mayBeBlank);
  t.strictSame((await readdir(join(path, "quarantine", "7"))).sort(), ["app.db", "raft"]);
  t.notOk((await readdir(path)).includes("app.db"));
  await second.close();
});

t.test("the quarantine keeps everything until the copy is whole, then the two newest", async (t) => {
  const path = await newPath(t);
  await mkdir(path);
  await thinOutQuarantine(path);
  for (const slot of [9, 10, 11]) {
    await writeFile(join(path, "app.db"), String(slot));
    await moveToQuarantine(path, slot, ["app.db", "state.db"]);
  }
  t.equal((await readdir(join(path, "quarantine"))).length, 3, "any of them may be the last");
  await thinOutQuarantine(path);
  t.strictSame((await readdir(join(path, "quarantine"))).sort(), ["10", "11"]);
  t.equal(await readFile(join(path, "quarantine", "11", "app.db"), "utf8"), "11");
});

t.test("a founding that did not end is forgotten: nothing of it was ever said", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await makeLog(path);
  await first.promiseTo("f".repeat(32));
  await first.close();
  const second = await open(path);
  t.equal(second.memberId, first.memberId, "so the member may be named as before");
  t.equal(second.promisedTo, "f".repeat(32), "by the founder that it was promised to");
  await t.rejects(stat(join(path, "raft", "segment")), { code: "ENOENT" });
  await second.close();
});

t.test("a node that lost all but its key is heard again: its session goes on", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await first.close();
  await loseRecord(path);
  const clock = { ...systemClock, wallMs: () => first.session + 5_000 };
  const second = await DataDirectory.open(path, systemRandom, clock);
  t.equal(second.identity.nodeId, first.identity.nodeId);
  t.ok(second.session > first.session);
  await second.close();
  // And where node.json is there, a clock that went back by years does no harm.
  const third = await DataDirectory.open(path, systemRandom, { ...systemClock, wallMs: () => 0 });
  t.ok(third.session > second.session);
  await third.close();
});

t.test("joinCluster() holds, whatever else is being written", async (t) => {
  const path = await newPath(t);
  const first = await open(path);
  await makeLog(path);
  await Promise.all([
    first.promiseTo("a".repeat(32)),
    first.joinCluster("c", true),
    first.promiseTo("b".repeat(32)),
  ]);
  await first.close();
  const second = await open(path);
  t.equal(second.clusterId, "c");
  t.equal(second.promisedTo, "b".repeat(32));
  await second.close();
});

t.test("open() refuses data whose key was lost or swapped: the member is bound to it", async (t) => {
  const path = await newPath(t);
  await (await open(path)).close();
  await rm(join(path, "identity.key"));
  await t.rejects(open(path), { code: "identity-mismatch", message: /identity\.key and node\.json/ });
});

t.test("open() says so where no directory can be made", async (t) => {
  // The kernel says ENOENT here, though /proc is there.
  await t.rejects(open("/proc/trivet-test"), {
    code: "data-unreadable",
    message: /\/proc\/trivet-test.*ENOENT/,
  });
});

t.test("a path that is too long for a socket is locked all the same", async (t) => {
  const path = join(await newPath(t), "d".repeat(120), "data");
  const first = await open(path);
  await t.rejects(open(path), { code: "data-locked" });
  await first.close();
});

t.test(
  "the lock holds in another network namespace, too",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const path = await newPath(t);
    const first = await open(path);
    const [code, stderr] = await openElsewhere(path);
    t.equal(code, 1);
    t.match(stderr, /Another agent runs on/);
    await first.close();
    t.equal((await openElsewhere(path))[0], 0, "and is free there once it is free here");
  },
);

t.test("node.json may be damaged or gone: there are two, and the start mends the other", async (t) => {
  for (const lost of ["node.json", "node.json.copy"]) {
    const path = await newPath(t);
    const first = await open(path);
    await makeLog(path);
    await first.joinCluster("c", true);
    await first.close();
    const file = join(path, lost);
    const bytes = await readFile(file);
    for (let at = 0; at < bytes.length - 1; at += 7) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      await writeFile(file, damaged);
      const record = await readNodeRecord(await NodeDirectory.open(path));
      t.match(record, { nodeId: first.identity.nodeId, clusterId: "c" }, `${lost}, byte ${at}`);
    }
    await rm(file);
    const second = await open(path);
    t.equal(second.memberId, first.memberId);
    t.equal(second.lostLog, null);
    await second.close();
    t.strictSame(await readFile(join(path, "node.json")), await readFile(join(path, "node.json.copy")));
  }
});

t.test("node.json may lie in a block that the medium has lost: its copy counts", async (t) => {
  const record: NodeRecord = {
    ...{ nodeId: "n", incarnation: "00000001", clusterId: "c", promisedTo: null },
    ...{ session: 1, hasCompanions: true, rejoin: null },
  };
  const lost = async (...names: readonly string[]): Promise<NodeRecord | null> => {
    const directory = new MemoryDirectory();
    await writeNodeRecord(directory, record);
    directory.onCall = ({ operation, name }) =>
      operation === "read" && names.includes(name) ? "EIO" : undefined;
    return readNodeRecord(directory);
  };
  t.strictSame(await lost("node.json"), record);
  t.strictSame(await lost("node.json.copy"), record);
  await t.rejects(lost("node.json", "node.json.copy"), { code: "data-unreadable" });
});

t.test("damaged files get a clear error and are left alone", async (t) => {
  for (const [file, code] of [
    ["identity.key", "identity-unreadable"],
    ["node.json", "data-unreadable"],
  ] as const) {
    const path = await newPath(t);
    await (await open(path)).close();
    if (file === "node.json") await rm(join(path, "node.json.copy"));
    for (const content of ["", "{", '{"format":2}', "-----BEGIN PRIVATE KEY-----"]) {
      await writeFile(join(path, file), content);
      await t.rejects(
        open(path),
        { code, message: new RegExp(file.replace(".", "\\.")) },
        `${file}: ${content}`,
      );
      t.equal(await readFile(join(path, file), "utf8"), content);
    }
  }
});
