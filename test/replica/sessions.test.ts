import { t } from "tap";
import { SESSION_TTL_MS } from "../../agent/store/limits.ts";
import type { CommandResult, SqlStatement } from "../../agent/store/types.ts";
import { ServiceTrio } from "./service-trio.ts";

const OPTIONS = { transaction: false, timeoutMs: 10_000 } as const;

function statement(sql: string, ...parameters: readonly number[]): SqlStatement {
  return { sql, parameters };
}

const insert = (id: number): readonly SqlStatement[] => [statement("INSERT INTO kept VALUES (?)", id)];

const trio = await ServiceTrio.start(t);
await trio.get(1).sql.execute([statement("CREATE TABLE kept (id)")], OPTIONS);

async function count(id: number): Promise<unknown> {
  const sql = "SELECT count(*) FROM kept WHERE id = ?";
  const results = await trio
    .get(2)
    .sql.query([statement(sql, id)], { level: "linearizable", timeoutMs: 10_000 });
  return valuesOf(results)[0]?.[0];
}

function valuesOf([result]: CommandResult): readonly (readonly unknown[])[] {
  if (result?.kind !== "rows") throw new Error(JSON.stringify(result));
  return result.values;
}

t.test("execute() of a session whose answers get lost is asked for again, and applies once", async (t) => {
  const { sql } = trio.get(1);
  const id = await sql.openSession(OPTIONS);
  const sent = trio.network.delivered.get("command/propose") ?? 0;
  trio.answersToLose = 2;
  const [result] = await sql.execute(insert(11), { ...OPTIONS, session: { id, sequence: 1 } });
  t.match(result, { kind: "changed", rowsAffected: 1 });
  t.equal((trio.network.delivered.get("command/propose") ?? 0) - sent, 3);
  t.equal(await count(11), 1);
});

t.test("what may be asked again does not wait until its deadline for an answer that got lost", async (t) => {
  const { sql } = trio.get(1);
  const session = { id: await sql.openSession(OPTIONS), sequence: 1 };
  const startMs = performance.now();
  trio.network.answersToDrop.add("command/propose");
  const [result] = await sql.execute(insert(12), { ...OPTIONS, session });
  t.match(result, { kind: "changed", rowsAffected: 1 });
  trio.network.answersToDrop.add("command/read-index");
  t.equal(await count(12), 1);
  t.equal(trio.network.answersToDrop.size, 0, "both were lost");
  const tookMs = performance.now() - startMs;
  t.ok(
    tookMs < OPTIONS.timeoutMs,
    `${tookMs.toFixed(0)} ms for both; each could have taken ${OPTIONS.timeoutMs}`,
  );
});

t.test("execute() keeps out of the log what every node would answer differently", async (t) => {
  const { sql } = trio.get(1);
  const statements = [statement("EXPLAIN SELECT 1"), ...insert(13), statement("SELECT unused FROM dbstat")];
  const refused = { kind: "error", code: "query-only", message: /Send it to query/ };
  t.match(await sql.execute(statements, OPTIONS), [refused, { kind: "changed" }, refused]);
  t.match(await sql.execute(statements, { ...OPTIONS, transaction: true }), [refused]);
  t.equal(await count(13), 1);
  const asked = await sql.query([statement("EXPLAIN SELECT 1")], { level: "none", timeoutMs: 10_000 });
  t.match(asked, [{ kind: "rows" }]);
});

t.test("execute() without a session does not repeat what may have happened", async (t) => {
  trio.answersToLose = 1;
  await t.rejects(trio.get(1).sql.execute(insert(21), OPTIONS), { code: "outcome-unknown" });
  t.equal(await count(21), 1, "this time it had");
});

t.test("execute() never says that nothing was done once an answer got lost", async (t) => {
  const { sql } = trio.follower();
  const id = await sql.openSession(OPTIONS);
  trio.answersToLose = 1;
  // The next ones find no leader: alone, that would promise that nothing was done.
  trio.onAnswerLost = () => trio.cutAll();
  const session = { id, sequence: 1 };
  await t.rejects(sql.execute(insert(31), { ...OPTIONS, timeoutMs: 1_500, session }), { code: "timeout" });
  trio.network.heal();
  const [result] = await trio.get(2).sql.execute(insert(31), { ...OPTIONS, session });
  t.match(
    result,
    { kind: "changed", rowsAffected: 1 },
    "sent again through another node, it has the first answer",
  );
  t.equal(await count(31), 1);
});

t.test("execute() tells of a session that is unknown or further on", async (t) => {
  const { sql } = trio.get(0);
  const id = await sql.openSession(OPTIONS);
  await sql.execute(insert(41), { ...OPTIONS, session: { id, sequence: 5 } });
  const stale = sql.execute(insert(42), { ...OPTIONS, session: { id, sequence: 4 } });
  await t.rejects(stale, { code: "session-stale" });
  const expired = sql.execute(insert(42), { ...OPTIONS, session: { id: id + 1, sequence: 1 } });
  await t.rejects(expired, { code: "session-expired" });
  t.equal(await count(42), 0);
});

t.test(
  "a session that is gone or further on does not say of a lost answer that nothing was done",
  async (t) => {
    const { sql } = trio.follower();
    const incidents = [
      () => {
        trio.wallAheadMs += SESSION_TTL_MS + 1;
      },
      async (id: number) => {
        await trio.get(0).sql.execute(insert(50), { ...OPTIONS, session: { id, sequence: 2 } });
      },
    ];
    for (const [nth, incident] of incidents.entries()) {
      const id = await sql.openSession(OPTIONS);
      trio.answersToLose = 1;
      // It is asked for again, and what is asked has forgotten it.
      trio.onAnswerLost = () => incident(id);
      const row = 51 + nth;
      const lost = sql.execute(insert(row), { ...OPTIONS, session: { id, sequence: 1 } });
      await t.rejects(lost, { code: "outcome-unknown", message: /Read before you repeat it with/ });
      t.equal(await count(row), 1, "it had been done");
    }
  },
);

t.test(
  "the time of commands does not go back when one was rehearsed while others were proposed",
  async (t) => {
    const { sql } = trio.get(0);
    const table = "CREATE TABLE timed (nth INTEGER PRIMARY KEY, at DEFAULT (unixepoch('subsec')))";
    await sql.execute([statement(table)], OPTIONS);
    let isRunning = true;
    const quick = async (): Promise<void> => {
      while (isRunning) await sql.execute([statement("INSERT INTO timed DEFAULT VALUES")], OPTIONS);
    };
    const slow = statement(
      "INSERT INTO timed (at) SELECT unixepoch('subsec') FROM (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 50000) SELECT count(*) AS n FROM c) WHERE n > 0",
    );
    const running = quick();
    for (let nth = 0; nth < 3; nth++) {
      const [result] = await sql.execute([slow], OPTIONS);
      t.match(result, { kind: "changed", rowsAffected: 1 });
    }
    isRunning = false;
    await running;
    const back = "SELECT count(*) FROM timed AS a JOIN timed AS b ON b.nth = a.nth + 1 WHERE b.at < a.at";
    t.strictSame(valuesOf(await sql.query([statement(back)], { level: "none", timeoutMs: 10_000 })), [[0]]);
  },
);
