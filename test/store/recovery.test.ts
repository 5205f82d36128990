import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import { systemClock } from "../../agent/platform/clock.ts";
import { CLOSE_TIMEOUT_MS, QUERIES_MAX, WORKER_RESTARTS_MAX } from "../../agent/store/limits.ts";
import { planQuery } from "../../agent/store/query-plan.ts";
import { sumsName } from "../../agent/store/snapshot.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import { addsRow, crashEntry } from "./crash-log.ts";
import { ENDLESS, ENDLESS_WRITE, entry, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

// Every restart starts a thread, and the last test starts processes.
t.setTimeout(300_000);

const faultyWorker = new URL("./faulty-worker.js", import.meta.url);
const COUNT = "SELECT count(*) FROM t";

t.test("query deadlines", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a)"]);

  t.test("query() is cut at its deadline, and every apply() before and after is there once", async (t) => {
    const applied = [1, 2, 3].map((a) =>
      node.store.apply([entry(node.store.applied.index + a, [`INSERT INTO t VALUES (${a})`])]),
    );
    const cut = t.rejects(node.store.query(planQuery([ENDLESS]), { timeoutMs: 50 }), {
      code: "query-timeout",
      message: /ran for longer than its 50 ms/,
    });
    const after = [5, 6, 7].map((index) =>
      node.store.apply([entry(index, [`INSERT INTO t VALUES (${index})`])]),
    );
    const other = node.rows("SELECT count(*) FROM t");
    const results = (await Promise.all([...applied, ...after])).flat(2);
    await cut;
    t.same(
      results.map((result) => result.kind === "changed" && result.lastInsertId),
      [1, 2, 3, 4, 5, 6],
    );
    t.same(await other, [[6]], "a query that waited behind the cut one is answered");
    t.same(await node.rows("SELECT a FROM t"), [[1], [2], [3], [5], [6], [7]]);
    t.same(node.store.applied, { index: 7, term: 1 });
  });

  t.test("query() that waits too long is given up and stops nobody's work", async (t) => {
    const slow = node.execute([
      "INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400000) SELECT x FROM c",
    ]);
    await t.rejects(node.store.query(planQuery([statement(COUNT)]), { timeoutMs: 0.0625 }), {
      code: "query-timeout",
      message: /waited its 0 ms/,
    });
    t.match(await slow, [{ kind: "changed", rowsAffected: 400_000 }]);
    await node.execute(["DELETE FROM t WHERE rowid > 6"]);
  });

  t.test("query() rejects with store-busy when too many wait", async (t) => {
    const statements = [statement("SELECT 1")];
    const waiting = Array.from({ length: QUERIES_MAX }, () =>
      node.store.query(planQuery(statements), { timeoutMs: PATIENT_MS }),
    );
    await t.rejects(node.store.query(planQuery(statements), { timeoutMs: PATIENT_MS }), {
      code: "store-busy",
      message: /1024 queries/,
    });
    t.equal((await Promise.all(waiting)).length, QUERIES_MAX);
    t.match(await node.store.query(planQuery(statements), { timeoutMs: PATIENT_MS }), [{ values: [[1]] }]);
  });

  t.test("query() cut ten times in a row loses nothing", async (t) => {
    for (let nth = 0; nth < 10; nth += 1) {
      const applied = node.execute([`INSERT INTO t VALUES ('cut ${nth}')`]);
      await t.rejects(node.store.query(planQuery([ENDLESS]), { timeoutMs: 1 + nth }), {
        code: "query-timeout",
      });
      t.match(await applied, [{ rowsAffected: 1 }]);
    }
    t.same(await node.rows("SELECT count(*), count(DISTINCT a) FROM t WHERE a LIKE 'cut%'"), [[10, 10]]);
  });

  t.test("query() that SQLite cannot carry out takes only itself along", async (t) => {
    const greedy =
      "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 40) SELECT count(DISTINCT randomblob(x + 9000000)) FROM c";
    await t.rejects(node.queryOne(greedy), { code: "query-failed", message: /out of memory/ });
    t.same(await node.rows("SELECT count(*) FROM t WHERE a LIKE 'cut%'"), [[10]]);
  });
});

t.test("close() ends an endless apply() at its deadline, and nothing before it is lost", async (t) => {
  const messages: string[] = [];
  const node = await StoreNode.create({ logger: { log: (_level, message) => messages.push(message) } });
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a)"]);
  await node.execute(["INSERT INTO t VALUES (1)"]);
  const endless = t.rejects(node.execute([ENDLESS_WRITE]), { code: "store-closed" });
  const behind = [
    t.rejects(node.store.apply([entry(4, ["INSERT INTO t VALUES (2)"])]), { code: "store-closed" }),
    t.rejects(node.queryOne(COUNT), { code: "store-closed" }),
    t.rejects(node.store.checkpoint(), { code: "store-closed" }),
  ];
  const start = systemClock.nowMs();
  await node.store.close();
  const tookMs = systemClock.nowMs() - start;
  t.ok(tookMs >= CLOSE_TIMEOUT_MS - 1, `closed after ${tookMs} ms`);
  await Promise.all([endless, ...behind]);
  t.same(messages, ["the database worker was ended in the middle of its work to close"]);

  await node.reopen();
  const log = [entry(1, ["CREATE TABLE t (a)"]), entry(2, ["INSERT INTO t VALUES (1)"])];
  await node.store.apply(log.slice(node.store.applied.index));
  t.same(await node.rows("SELECT a FROM t"), [[1]]);
});

t.test(
  "apply() stops for good at a statement that commits, which the check keeps out of the log",
  async (t) => {
    const node = await StoreNode.create();
    t.teardown(() => node.remove());
    await t.rejects(node.execute(["CREATE TABLE t (a)", "COMMIT"]), {
      code: "store-failed",
      message: /committed what is not its own/,
    });
  },
);

t.test("a failing disk", async (t) => {
  for (const [fault, code] of [
    ["writeSync", "EIO"],
    ["fsyncSync", "EIO"],
  ] as const) {
    t.test(
      `apply() and checkpoint() fail for good on ${code} in ${fault}, and nothing is recorded`,
      async (t) => {
        const node = await StoreNode.create({ workerUrl: faultyWorker });
        t.teardown(() => rm(node.directory, { recursive: true }));
        await node.execute(["CREATE TABLE t (a)"]);
        await node.execute(["INSERT INTO t VALUES (1)"]);
        await node.store.checkpoint();
        await writeFile(join(node.directory, "faults"), `${fault} ${code}`);
        const applied = node.execute(["INSERT INTO t VALUES (2)"]);
        await t.rejects(node.store.checkpoint(), { code: "store-failed", message: /disk I\/O error/ });
        t.match(await applied, [{ kind: "changed" }], "the log has it, so the answer stands");
        await t.rejects(node.execute(["INSERT INTO t VALUES (3)"]), { code: "store-failed" });
        await t.rejects(node.queryOne(COUNT), { code: "store-failed" });
        await t.resolves(node.store.close());

        await rm(join(node.directory, "faults"));
        const store = await openSqliteStore({
          directory: node.directory,
          logger: { log: () => undefined },
          clock: systemClock,
        });
        const again = Array.from({ length: 3 - store.applied.index }, (_, nth) =>
          entry(store.applied.index + 1 + nth, ["INSERT INTO t VALUES (2)"]),
        );
        await store.apply(again);
        t.match(await store.query(planQuery([statement("SELECT a FROM t")]), { timeoutMs: PATIENT_MS }), [
          { values: [[1], [2]] },
        ]);
        await store.close();
      },
    );
  }

  t.test("a full disk is waited for: nothing fails, and nothing is lost", async (t) => {
    // While no worker runs, nothing else of the store keeps a process alive.
    const alive = setInterval(() => undefined, 1_000);
    t.teardown(() => clearInterval(alive));
    const messages: string[] = [];
    const log = (_level: string, message: string): void => {
      messages.push(message);
    };
    const node = await StoreNode.create({ workerUrl: faultyWorker, logger: { log } });
    t.teardown(() => node.remove());
    await node.execute(["CREATE TABLE t (a)"]);
    await node.store.checkpoint();
    const faults = join(node.directory, "faults");
    await writeFile(faults, "writeSync ENOSPC");
    t.match(await node.execute(["INSERT INTO t VALUES (1)"]), [{ kind: "changed" }]);
    const durable = node.store.checkpoint();
    // Longer than a try takes: what is asked meanwhile gives up, and does no harm.
    await t.rejects(node.store.query(planQuery([statement(COUNT)]), { timeoutMs: 1_500 }), {
      code: "query-timeout",
    });
    t.equal(messages.filter((message) => message.includes("the disk is full")).length, 1, "said once");
    await rm(faults);
    t.equal((await durable).index, 2);
    t.match(await node.execute(["INSERT INTO t VALUES (2)"]), [{ kind: "changed" }]);
    t.same(await node.rows("SELECT a FROM t"), [[1], [2]]);
    t.ok(messages.includes("the database goes on"));
    t.notOk((await readdir(node.directory)).includes("room-probe"));
  });

  t.test("close() does not wait for room", async (t) => {
    const alive = setInterval(() => undefined, 1_000);
    t.teardown(() => clearInterval(alive));
    const node = await StoreNode.create({ workerUrl: faultyWorker });
    t.teardown(() => rm(node.directory, { recursive: true }));
    await node.execute(["CREATE TABLE t (a)"]);
    await node.store.checkpoint();
    await writeFile(join(node.directory, "faults"), "writeSync ENOSPC");
    await node.execute(["INSERT INTO t VALUES (1)"]);
    const durable = t.rejects(node.store.checkpoint(), { code: "store-closed" });
    await node.store.close();
    await durable;
  });

  t.test("checkpoint() syncs the write-ahead log and then the file, of both databases", async (t) => {
    const node = await StoreNode.create({ workerUrl: faultyWorker });
    t.teardown(() => node.remove());
    await node.execute(["CREATE TABLE t (a)"]);
    await node.store.checkpoint();
    await node.execute(["INSERT INTO t VALUES (1)"]);
    await writeFile(join(node.directory, "syncs"), "");
    await node.store.checkpoint();
    const synced = (await readFile(join(node.directory, "syncs"), "utf8"))
      .split("\n")
      .filter((line) => line !== "");
    for (const name of ["app.db", "state.db"]) {
      const ofFile = synced.filter((path) => path.startsWith(join(node.directory, name)));
      t.ok(
        ofFile.lastIndexOf(join(node.directory, name)) >
          ofFile.lastIndexOf(join(node.directory, `${name}-wal`)),
        synced.join(" "),
      );
      t.ok(ofFile.includes(join(node.directory, `${name}-wal`)), name);
    }
  });
});

t.test("apply() gives no entry to a file twice that is ahead of the other", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const insert = (index: number) => entry(index, [`INSERT INTO t VALUES (${index})`]);
  await node.store.apply([entry(1, ["CREATE TABLE t (a)"]), insert(2)]);
  for (const [ahead, behind] of [
    ["app.db", "state.db"],
    ["state.db", "app.db"],
  ] as const) {
    await node.store.checkpoint();
    const position = node.store.applied;
    const names = [behind, sumsName(behind)].map((name) => join(node.directory, name));
    const old = await Promise.all(names.map(async (path) => [path, await readFile(path)] as const));
    const next = [insert(position.index + 1), insert(position.index + 2)];
    await node.store.apply(next);
    await node.reopenAfter(async () => {
      for (const [path, bytes] of old) await writeFile(path, bytes);
    });
    t.same(node.store.applied, position, `${ahead} is ahead`);
    const newest = { index: position.index + 2, term: 1 };
    t.same(node.store.newest, newest);
    // A snapshot would not be of one position, and a membership in it of none that its receiver's log has.
    await t.rejects(node.store.openSnapshot(), { code: "snapshot-not-level" });
    const results = await node.store.apply(next);
    t.same(node.store.newest, newest);
    await (await node.store.openSnapshot()).close();
    t.equal(results.flat().length, ahead === "app.db" ? 0 : 2, "what is there already has no results");
  }
  t.same(await node.rows("SELECT a FROM t"), [[2], [3], [4], [5], [6]]);
});

t.test("a worker that ends by itself is replaced, but not for ever", async (t) => {
  const messages: string[] = [];
  const node = await StoreNode.create({
    workerUrl: faultyWorker,
    logger: { log: (_level, message) => messages.push(message) },
  });
  t.teardown(() => node.remove());
  const faults = join(node.directory, "faults");
  await node.execute(["CREATE TABLE t (a)"]);
  await node.execute(["INSERT INTO t VALUES (1)"]);
  await writeFile(faults, "exit");
  const failed = t.rejects(node.store.checkpoint(), { code: "store-failed", message: /its worker ended/ });
  await failed;
  t.equal(
    messages.filter((message) => message === "the database worker ended by itself").length,
    WORKER_RESTARTS_MAX + 1,
  );
});

t.test(
  "a worker whose memory has grown far makes room for another, once it is idle, and not again and again",
  async (t) => {
    const renewals = new EventEmitter();
    let renewed = 0;
    const log = (_level: string, message: string) => {
      if (!message.includes("to give memory back")) return;
      renewed += 1;
      renewals.emit("renewed");
    };
    const node = await StoreNode.create({ logger: { log } });
    t.teardown(() => node.remove());
    await node.execute(["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"]);
    // What a sort keeps: about 90 MiB.
    const large =
      "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 9) SELECT count(DISTINCT randomblob(x + 9000000)) FROM c";
    const renewal = once(renewals, "renewed");
    t.same(await node.rows(large), [[9]]);
    await renewal;
    t.same(await node.rows("SELECT a FROM t"), [[1]], "nothing is lost");
    await node.execute(["INSERT INTO t VALUES (2)"]);
    t.same(await node.rows(large), [[9]]);
    t.same(await node.rows("SELECT a FROM t"), [[1], [2]]);
    t.equal(renewed, 1);
  },
);

t.test("a killed process has every entry once, wherever it was killed", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "trivet-store-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const script = fileURLToPath(new URL("./crash-child.js", import.meta.url));
  let acknowledged = 0;
  for (let round = 0; round < 8; round += 1) {
    const child = spawn(process.execPath, [script, directory], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(child, "exit");
    let lines = 0;
    for await (const line of createInterface(child.stdout)) {
      const [event, index] = line.split(" ");
      if (event === "opened")
        t.ok(Number(index) <= acknowledged, `round ${round}: ${line}, acknowledged ${acknowledged}`);
      acknowledged = Math.max(acknowledged, Number(index));
      lines += 1;
      if (lines === 2 + round * 7) child.kill("SIGKILL");
    }
    await exited;
  }

  const store = await openSqliteStore({ directory, logger: { log: () => undefined }, clock: systemClock });
  const missing = Array.from({ length: Math.max(0, acknowledged - store.applied.index) }, (_, nth) =>
    crashEntry(store.applied.index + 1 + nth),
  );
  await store.apply(missing);
  const last = store.applied.index;
  const rows = "SELECT * FROM log ORDER BY rowid";
  const objects = { kind: "crash", limit: 10, timeoutMs: PATIENT_MS };
  const after = await store.query(planQuery([statement(rows)]), { timeoutMs: PATIENT_MS });
  const { digest, configuration } = store;
  const objectsAfter = await store.objects.list(objects);
  await store.close();

  const never = await StoreNode.create();
  t.teardown(() => never.remove());
  await never.store.apply(Array.from({ length: last }, (_, nth) => crashEntry(nth + 1)));
  t.same(after, [await never.queryOne(rows)]);
  const added = Array.from({ length: last }, (_, nth) => nth + 1).filter(addsRow);
  t.match(after, [{ values: { length: added.length } }], "what came twice is there once");
  t.match(after, [{ values: added.map((index) => [index]) }]);
  t.same(objectsAfter, await never.store.objects.list(objects));
  t.equal(objectsAfter.objects.length, 5);
  t.same(digest, never.store.digest);
  t.equal(digest.index, last);
  t.same(configuration, never.store.configuration);
  t.equal(configuration?.index, last - ((last - 6) % 7));
});
