import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { systemClock } from "../../agent/platform/clock.ts";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { PINNED_WAL_FRAMES_MIN } from "../../agent/store/limits.ts";
import { planQuery } from "../../agent/store/query-plan.ts";
import { rebaseJobs } from "../../agent/store/rebase-jobs.ts";
import type { SnapshotManifest } from "../../agent/store/snapshot.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { ApplyJob, StoreJob } from "../../agent/store/store-jobs.ts";
import { interceptedDirectory } from "../platform/intercepted-directory.ts";
import { copySnapshot, sha256, transfer } from "./copy-snapshot.ts";
import { configurationEntry, ENDLESS, entry, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

const BIG = "INSERT INTO t SELECT hex(randomblob(400)) FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8))";
const GONE = { code: "snapshot-gone" };

async function createNode(t: Test, rows = 20): Promise<StoreNode> {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a)"]);
  for (let nth = 0; nth < rows; nth += 1) await node.execute([BIG]);
  return node;
}

/** A rehearsal commits first what is applied, and is answered after the report of it. */
async function commit({ store }: StoreNode): Promise<void> {
  await store.rehearse([statement("SELECT 1")], { transaction: false, timeoutMs: PATIENT_MS, timeMs: 1 });
}

async function hashes(node: StoreNode): Promise<SnapshotManifest["files"]> {
  const files = [];
  for (const name of ["app.db", "state.db"] as const) {
    const bytes = await readFile(join(node.directory, name));
    files.push({ name, bytes: bytes.byteLength, sha256: sha256(bytes) });
  }
  return files;
}

async function stagedFiles({ directory }: StoreNode): Promise<readonly string[]> {
  return (await readdir(directory)).filter((name) => name.startsWith("snapshot"));
}

t.test("openSnapshot()", async (t) => {
  const node = await createNode(t);

  t.test("a copy equals the state at its position, whatever is written meanwhile", async (t) => {
    const other = await StoreNode.create();
    t.teardown(() => other.remove());
    const position = node.store.applied;
    const before = await node.dump();
    let steps = 0;
    const snapshot = await node.store.openSnapshot(() => steps++);
    t.ok(steps >= 3, "a checkpoint, and a pass over each file");
    t.same(snapshot.position, position);
    t.same(snapshot.files, await hashes(node));
    const receiver = await other.store.receiveSnapshot(snapshot);
    await copySnapshot(snapshot, receiver, async () => {
      await node.execute([BIG]);
      await commit(node);
    });
    t.ok(node.store.applied.index > position.index + 10, `writes went on to ${node.store.applied.index}`);
    t.same(await node.store.checkpoint(), position, "a checkpoint waits");
    t.same(await hashes(node), snapshot.files, "the files have not changed");
    await snapshot.close();
    await receiver.install();
    t.same(other.store.applied, position);
    t.same(other.store.pendingInstall, position);
    t.same(await other.dump(), before);
    t.same(await node.store.checkpoint(), node.store.applied, "checkpoints go on");
    await t.rejects(snapshot.read("app.db", 0, 1), GONE);
  });

  t.test("stays as it is when the worker is replaced", async (t) => {
    const snapshot = await node.store.openSnapshot();
    await node.execute([BIG]);
    await t.rejects(node.store.query(planQuery([ENDLESS]), { timeoutMs: 1 }), { code: "query-timeout" });
    await node.execute([BIG]);
    t.same(await node.store.checkpoint(), snapshot.position);
    t.same(await hashes(node), snapshot.files);
    await snapshot.close();
  });

  t.test("readers share one position until the last has closed", async (t) => {
    const first = await node.store.openSnapshot();
    await node.execute([BIG]);
    const second = await node.store.openSnapshot();
    t.same(second.position, first.position);
    await first.close();
    await first.close();
    await t.rejects(first.read("app.db", 0, 100), GONE);
    t.equal((await second.read("app.db", 0, 100)).byteLength, 100);
    const end = second.files.find(({ name }) => name === "app.db")?.bytes ?? 0;
    t.equal((await second.read("app.db", end - 10, 100)).byteLength, 10);
    await second.close();
    const third = await node.store.openSnapshot();
    t.same(third.position, node.store.applied);
    await third.close();
  });

  t.test("ends when the write-ahead log has become too long", async (t) => {
    const snapshot = await node.store.openSnapshot();
    const large = `INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ${PINNED_WAL_FRAMES_MIN / 16}) SELECT zeroblob(4000) FROM c`;
    const writeLarge = async () => {
      await node.execute([large]);
      await commit(node);
    };
    await writeLarge();
    t.equal((await snapshot.read("app.db", 0, 100)).byteLength, 100);
    for (let nth = 0; nth < 16; nth += 1) await writeLarge();
    await t.rejects(snapshot.read("app.db", 0, 100), {
      code: "snapshot-gone",
      message: /too much was written/,
    });
    t.same(await node.store.checkpoint(), node.store.applied);
    await snapshot.close();
    await node.execute(["DELETE FROM t WHERE length(a) = 4000"]);
  });
});

t.test("close() ends a snapshot and a receiver, and leaves nothing of what was received", async (t) => {
  const node = await createNode(t);
  const snapshot = await node.store.openSnapshot();
  const receiver = await node.store.receiveSnapshot(snapshot);
  await receiver.write("app.db", 0, await snapshot.read("app.db", 0, 1000));
  await node.store.close();
  await t.rejects(snapshot.read("app.db", 0, 1), GONE);
  await t.rejects(receiver.write("app.db", 0, new Uint8Array(1)), GONE);
  await t.rejects(node.store.openSnapshot(), { code: "store-closed" });
  t.same(await stagedFiles(node), []);
});

t.test("close() ends a receiver that is only being opened", async (t) => {
  const node = await createNode(t);
  const snapshot = await node.store.openSnapshot();
  const receiving = node.store.receiveSnapshot(snapshot);
  await Promise.all([t.rejects(receiving, GONE), node.store.close()]);
  t.same(await stagedFiles(node), []);
});

t.test("what a killed process had received of a snapshot is gone at the next start", async (t) => {
  const node = await createNode(t);
  await node.store.close();
  for (const name of ["snapshot-app.db", "snapshot-state.db"]) {
    await writeFile(join(node.directory, name), "half of a database");
  }
  await node.reopen();
  t.same(await stagedFiles(node), []);
  t.equal(node.store.pendingInstall, null);
});

t.test("receiveSnapshot()", async (t) => {
  const source = await createNode(t);
  const target = await createNode(t, 2);
  const before = await target.dump();

  t.test("refuses what is not the announced snapshot, and changes nothing", async (t) => {
    const snapshot = await source.store.openSnapshot();
    const [app, state] = snapshot.files;
    if (app === undefined || state === undefined) throw new Error("two files");
    const { position } = snapshot;
    await t.rejects(target.store.receiveSnapshot({ ...snapshot, files: [app] }), {
      code: "snapshot-corrupt",
    });
    await t.rejects(target.store.receiveSnapshot({ ...snapshot, files: [app, app] }), {
      code: "snapshot-corrupt",
    });
    const wrong: [string, SnapshotManifest, RegExp][] = [
      ["position", { ...snapshot, position: { ...position, index: position.index + 1 } }, /stands at entry/],
      ["hash", { ...snapshot, files: [app, { ...state, sha256: app.sha256 }] }, /SHA-256 of state.db/],
      ["size", { ...snapshot, files: [app, { ...state, bytes: state.bytes + 1 }] }, /instead of/],
    ];
    for (const [what, manifest, message] of wrong) {
      const receiver = await target.store.receiveSnapshot(manifest);
      await copySnapshot(snapshot, receiver);
      await t.rejects(receiver.install(), { code: "snapshot-corrupt", message }, what);
      await t.rejects(receiver.install(), GONE);
    }
    const receiver = await target.store.receiveSnapshot(snapshot);
    await t.rejects(target.store.receiveSnapshot(snapshot), { code: "store-busy" });
    await t.rejects(receiver.write("app.db", app.bytes, new Uint8Array(1)), { code: "snapshot-corrupt" });
    await receiver.discard();
    await t.rejects(receiver.write("app.db", 0, new Uint8Array(1)), GONE);
    t.same(await target.dump(), before);
    t.same(await stagedFiles(target), []);
    await snapshot.close();
  });

  t.test("refuses files that stand at different entries", async (t) => {
    const node = await createNode(t, 2);
    const earlier = await node.store.openSnapshot();
    const { position } = earlier;
    const app = await readFile(join(node.directory, "app.db"));
    await earlier.close();
    await node.execute([BIG]);
    const later = await node.store.openSnapshot();
    const old = { name: "app.db", bytes: app.byteLength, sha256: sha256(app) } as const;
    const files = later.files.map((file) => (file.name === "app.db" ? old : file));
    const receiver = await target.store.receiveSnapshot({ ...later, position, files });
    await receiver.write("app.db", 0, app);
    await receiver.write("state.db", 0, await readFile(join(node.directory, "state.db")));
    await t.rejects(receiver.install(), {
      code: "snapshot-corrupt",
      message: /state.db stands at entry 4, not 3/,
    });
    await later.close();
    t.same(await target.dump(), before);
  });

  t.test("refuses a file with the right hash that is no sound database of ours", async (t) => {
    const damaged = await createNode(t, 40);
    const snapshot = await damaged.store.openSnapshot();
    for (const [change, message] of [
      [(bytes: Buffer) => bytes.fill(0xa5, 4 * 4096, 5 * 4096), /malformed/],
      [(bytes: Buffer) => bytes.fill(0xa5, 0, 100), /not a database/],
      [(bytes: Buffer) => bytes.fill(0), /not a database/],
    ] as const) {
      const bytes = await readFile(join(damaged.directory, "app.db"));
      change(bytes);
      const hash = sha256(bytes);
      const files = snapshot.files.map((file) => (file.name === "app.db" ? { ...file, sha256: hash } : file));
      const receiver = await target.store.receiveSnapshot({ ...snapshot, files });
      await copySnapshot(snapshot, receiver);
      await receiver.write("app.db", 0, bytes);
      await t.rejects(receiver.install(), { code: "snapshot-corrupt", message });
    }
    await snapshot.close();
    t.same(await target.dump(), before);
  });

  t.test(
    "install() answers what waits from the new state, and pendingInstall outlives a restart",
    async (t) => {
      const index = source.store.applied.index + 1;
      await source.store.apply([configurationEntry(index, "three members")]);
      const snapshot = await source.store.openSnapshot();
      t.equal(snapshot.configuration?.index, index);
      t.equal(Buffer.from(snapshot.configuration?.bytes ?? []).toString(), "three members");
      const receiver = await target.store.receiveSnapshot(snapshot);
      await copySnapshot(snapshot, receiver);
      await snapshot.close();
      const expected = await source.dump();
      const count = await source.rows("SELECT count(*) FROM t");
      const installed = receiver.install();
      const seen = new Set<unknown>();
      let isInstalled = false;
      const counting = (async () => {
        while (!isInstalled) seen.add((await target.rows("SELECT count(*) FROM t"))[0]?.[0]);
      })();
      await installed;
      isInstalled = true;
      await counting;
      t.same(await target.rows("SELECT count(*) FROM t"), count);
      for (const rows of seen) t.ok(rows === 16 || rows === count[0]?.[0], `${rows} rows`);
      t.same(await target.dump(), expected);
      t.same(target.store.applied, source.store.applied);
      t.same(target.store.configuration, source.store.configuration);
      t.same(target.store.digest, source.store.digest);
      t.same(target.store.configuration, source.store.configuration);
      t.same(target.store.digest, source.store.digest);
      await target.reopen();
      t.same(target.store.pendingInstall, snapshot.position);
      await target.store.finishInstall();
      await target.store.finishInstall();
      t.equal(target.store.pendingInstall, null);
      t.same(await stagedFiles(target), []);
      await target.reopen();
      t.equal(target.store.pendingInstall, null);
      const next = entry(target.store.applied.index + 1, [BIG]);
      t.same(await target.store.apply([next]), await source.store.apply([next]));
      t.same(await target.dump(), await source.dump());
    },
  );

  t.test("install() lets entries go on that follow the snapshot", async (t) => {
    const behind = await createNode(t, 2);
    const snapshot = await source.store.openSnapshot();
    const receiver = await behind.store.receiveSnapshot(snapshot);
    await copySnapshot(snapshot, receiver);
    await snapshot.close();
    const last = snapshot.position.index + 5;
    const first = behind.store.applied.index + 1;
    const entries = Array.from({ length: last + 1 - first }, (_, nth) => entry(first + nth, [BIG]));
    const installed = receiver.install();
    const results = (await Promise.all(entries.map((each) => behind.store.apply([each])))).flat();
    await installed;
    const after = entries.slice(-5);
    if (behind.store.applied.index === snapshot.position.index) await behind.store.apply(after);
    t.equal(results.length, entries.length);
    t.same(behind.store.applied.index, last);
    await source.store.apply(after);
    t.same(await behind.dump(), await source.dump());
  });
});

t.test("rebaseJobs() with a snapshot of entry 10", (t) => {
  const settled: string[] = [];
  const apply = (name: string, indexes: readonly number[], isReplay = false): ApplyJob => ({
    kind: "apply",
    entries: indexes.map((index) => ({ index, term: 1, command: null })),
    results: [],
    isReplay,
    resolve: (results) => settled.push(`${name} ${results.length}`),
    reject: (error) => settled.push(`${name} ${isTrivetError(error) && error.code}`),
  });
  const position = { index: 10, term: 1 };
  const checkpoint: StoreJob = { kind: "checkpoint", resolve: () => undefined, reject: () => undefined };
  const [replay, covered, across, after] = [
    apply("replay", [7], true),
    apply("covered", [8, 9]),
    apply("across", [10, 11]),
    apply("after", [12]),
  ] as const;
  const rebased = rebaseJobs([replay, covered, checkpoint, across, after], position);
  t.same(settled, ["covered 2"]);
  t.same(rebased, { waiting: [checkpoint, across, after], lastTaken: 12 });
  t.same(across.results, [[]], "entry 10 is in the snapshot");
  t.same(rebaseJobs([apply("gap", [13])], position), { waiting: [], lastTaken: 10 });
  t.same(settled, ["covered 2", "gap store-replaced"]);
  t.end();
});

t.test("openSnapshot() rejects with snapshot-failed on a disk error, and holds nothing back", async (t) => {
  const node = await createNode(t);
  await node.store.close();
  const { directory } = node;
  let isFailing = false;
  let closed = 0;
  const failing = interceptedDirectory(await NodeDirectory.open(directory), (operation) => {
    if (operation === "close") closed += 1;
    if (operation !== "read" || !isFailing) return;
    throw Object.assign(new Error("EIO: told to fail"), { code: "EIO" });
  });
  const options = { directory, logger: { log: () => undefined }, clock: systemClock, files: failing };
  const store = await openSqliteStore(options);
  const snapshot = await store.openSnapshot();
  isFailing = true;
  const failed = { code: "snapshot-failed", message: /EIO/ };
  await t.rejects(snapshot.read("app.db", 0, 100), failed);
  t.same(await store.checkpoint(), snapshot.position);
  await snapshot.close();
  await Promise.all([t.rejects(store.openSnapshot(), failed), t.rejects(store.openSnapshot(), failed)]);
  await store.apply([entry(store.applied.index + 1, [BIG])]);
  t.same(await store.checkpoint(), store.applied, "checkpoints go on");
  isFailing = false;
  const again = await store.openSnapshot();
  t.same(again.position, store.applied);
  await again.close();
  await store.close();
  t.equal(
    closed,
    5,
    "every file that was opened is closed: two for each snapshot, one where the first read failed",
  );
});

t.test("a snapshot of a node that serves others ends when it installs one", async (t) => {
  const node = await createNode(t);
  const other = await createNode(t, 3);
  const snapshot = await node.store.openSnapshot();
  await transfer(other.store, node.store);
  await t.rejects(snapshot.read("app.db", 0, 1), GONE);
  t.same(await node.dump(), await other.dump());
});
