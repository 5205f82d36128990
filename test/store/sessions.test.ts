import t from "tap";
import { SESSION_ANSWER_BYTES_MAX, SESSION_TTL_MS, SESSIONS_MAX } from "../../agent/store/limits.ts";
import type { CommandResult, SessionGuard } from "../../agent/store/types.ts";
import { killWorker } from "./incidents.ts";
import { commandEntry, entry, objectsEntry, StoreNode, sessionEntry, timeOf } from "./store-node.ts";

// Some restarts start threads, which takes its time on a busy machine.
t.setTimeout(300_000);

const KEY = { kind: "setting", namespace: "", name: "a" };

async function openSession(node: StoreNode): Promise<number> {
  const [result] = await node.applyNext(sessionEntry);
  if (result?.kind !== "session") throw new Error(`no session: ${JSON.stringify(result)}`);
  return result.id;
}

function execute(node: StoreNode, session: SessionGuard, ...sql: readonly string[]): Promise<CommandResult> {
  return node.applyNext((index) => entry(index, sql, false, session));
}

function put(node: StoreNode, session: SessionGuard, text: string): Promise<CommandResult> {
  const write = { kind: "put", key: KEY, body: Buffer.from(text), revision: null } as const;
  return node.applyNext((index) => objectsEntry(index, [write], session));
}

t.test("commands of a session", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await node.execute(["CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE)"]);
  const id = await openSession(node);
  t.equal(id, node.store.applied.index, "the id is the index of its entry");

  t.test("apply() of a repeated command gives the first answer and does nothing", async (t) => {
    const insert = [
      "INSERT INTO t VALUES (1, random()) RETURNING a, b, x'00ff', 0.5, NULL, 9007199254740993",
      "INSERT INTO t VALUES (2, 'x')",
      "INSERT INTO t VALUES (3, 'x')",
      "SELECT unixepoch('subsec')",
    ];
    const first = await execute(node, { id, sequence: 1 }, ...insert);
    t.match(first, [{ kind: "rows" }, { kind: "changed" }, { code: "constraint" }, { kind: "rows" }]);
    const incidents = [async () => undefined, () => node.reopen(), () => killWorker(node)];
    for (const incident of incidents) {
      await incident();
      t.strictSame(await execute(node, { id, sequence: 1 }, ...insert), first);
    }
    t.same(await node.rows("SELECT count(*) FROM t"), [[2]]);
  });

  t.test("apply() refuses a sequence that was passed, but not a gap", async (t) => {
    t.match(await execute(node, { id, sequence: 9 }, "INSERT INTO t VALUES (9, 9)"), [{ kind: "changed" }]);
    t.match(await execute(node, { id, sequence: 8 }, "DELETE FROM t"), [
      { code: "session-stale", message: /at sequence 9 already, 8 comes too late: nothing was done now/ },
    ]);
    t.same(await node.rows("SELECT b FROM t WHERE a = 9"), [[9]]);
    t.match(await execute(node, { id, sequence: 9 }, "DELETE FROM t"), [
      { kind: "changed", rowsAffected: 1 },
    ]);
  });

  t.test("apply() refuses a session that never was", async (t) => {
    const expired = [{ kind: "error", code: "session-expired" }];
    t.match(await execute(node, { id: 999_999, sequence: 1 }, "DELETE FROM t"), expired);
    t.match(await put(node, { id: 1, sequence: 1 }, "x"), expired);
    t.not((await node.rows("SELECT count(*) FROM t"))[0]?.[0], 0);
  });

  t.test("apply() of repeated writes of objects gives the first answer", async (t) => {
    const first = await put(node, { id, sequence: 20 }, "first");
    t.match(first, [{ kind: "objects", revision: node.store.applied.index }]);
    await node.reopen();
    t.strictSame(await put(node, { id, sequence: 20 }, "second"), first);
    const { object } = await node.store.objects.get(KEY, { timeoutMs: 10_000 });
    t.equal(Buffer.from(object?.body ?? []).toString(), "first");
    t.match(await put(node, { id, sequence: 3 }, "third"), [{ code: "session-stale" }]);
  });

  t.test("apply() keeps the answer of a command that made SQLite drop the transaction", async (t) => {
    await node.execute([
      "CREATE TABLE full (id INTEGER PRIMARY KEY AUTOINCREMENT, b)",
      "INSERT INTO full VALUES (9223372036854775807, 0)",
    ]);
    const sql = ["INSERT INTO t VALUES (30, 30)", "INSERT OR IGNORE INTO full (b) VALUES (1)"];
    const first = await execute(node, { id, sequence: 30 }, ...sql);
    t.match(first, [{ kind: "changed" }, { code: "rowid-exhausted" }]);
    t.strictSame(await execute(node, { id, sequence: 30 }, ...sql), first);
  });

  t.test("apply() does not keep an answer that is too large, but what it did", async (t) => {
    const sql = `INSERT INTO t VALUES (40, hex(zeroblob(${SESSION_ANSWER_BYTES_MAX}))) RETURNING b`;
    t.match(await execute(node, { id, sequence: 40 }, sql), [{ kind: "rows" }]);
    t.match(await execute(node, { id, sequence: 40 }, sql), [{ kind: "error", code: "answer-too-large" }]);
    t.same(await node.rows("SELECT count(*) FROM t WHERE a = 40"), [[1]]);
  });

  t.test("rehearse() takes no sequence", async (t) => {
    const statements = [{ sql: "INSERT INTO t VALUES (50, 50)", parameters: [] }];
    await node.store.rehearse(statements, { transaction: false, timeoutMs: 10_000, timeMs: 0 });
    t.match(await execute(node, { id, sequence: 50 }, "INSERT INTO t VALUES (50, 50)"), [
      { kind: "changed" },
    ]);
  });
});

t.test("sessions end", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const select = (sequence: number, id: number, timeMs: number) =>
    node.applyNext((index) =>
      commandEntry(index, {
        kind: "sql",
        timeMs,
        session: { id, sequence },
        seed: new Uint8Array(16),
        transaction: false,
        statements: [{ sql: "SELECT 1", parameters: [] }],
      }),
    );

  t.test("apply() forgets one that was not used for SESSION_TTL_MS of the log's time", async (t) => {
    const id = await openSession(node);
    const openedMs = timeOf(id);
    t.match(await select(1, id, openedMs + SESSION_TTL_MS), [{ kind: "rows" }]);
    t.match(await select(1, id, openedMs + 2 * SESSION_TTL_MS), [{ kind: "rows" }], "a repetition is a use");
    await node.reopen();
    t.match(await select(2, id, openedMs + 3 * SESSION_TTL_MS), [{ kind: "rows" }]);
    t.match(await select(3, id, openedMs + 4 * SESSION_TTL_MS + 1), [{ code: "session-expired" }]);
  });

  t.test("apply() of one more than SESSIONS_MAX drops the least recently used one", async (t) => {
    const first = node.store.applied.index + 1;
    const ids = Array.from({ length: SESSIONS_MAX }, (_, nth) => first + nth);
    await node.store.apply(ids.map(sessionEntry));
    const nowMs = timeOf(first + SESSIONS_MAX);
    t.match(await select(1, first, nowMs), [{ kind: "rows" }], "used, so not the next to go");
    const newest = await openSession(node);
    t.match(await select(2, first, nowMs), [{ kind: "rows" }]);
    t.match(await select(1, first + 1, nowMs), [{ code: "session-expired" }]);
    t.match(await select(1, first + 2, nowMs), [{ kind: "rows" }]);
    t.match(await select(1, newest, nowMs), [{ kind: "rows" }]);
  });
});
