import { request } from "node:http";
import { t } from "tap";
import type { AgentProcess, Answer } from "./agent-process.ts";
import { runTrivet } from "./run-trivet.ts";
import { TestCluster } from "./test-cluster.ts";

/** Counts for a long while without touching a table; no clever planner ends it early. */
const ENDLESS_QUERY =
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE i < 0";

/** Writers at the same time while the leader stops. */
const CLIENTS = 32;

t.test("requests to three agents", { timeout: 180_000 }, async (t) => {
  const cluster = await TestCluster.start(3);
  t.teardown(() => cluster.end());
  const [first, second, third] = cluster.agents;
  if (first === undefined || second === undefined || third === undefined) throw new Error("three agents");
  await first.execute(["CREATE TABLE kept (id INTEGER NOT NULL, note TEXT)"]);

  await t.test("a write through any node is read through any other", async (t) => {
    for (const [nth, agent] of cluster.agents.entries()) {
      const answer = await agent.execute([["INSERT INTO kept VALUES (?, ?)", nth, agent.name]]);
      t.match(answer, { status: 200, results: [{ rows_affected: 1 }] });
      for (const reader of cluster.agents) {
        for (const level of ["weak", "linearizable", "strong"]) {
          const read = await reader.query(`SELECT note FROM kept WHERE id = ${nth}`, level);
          t.strictSame(read.results?.[0]?.values, [[agent.name]], `${level} through ${reader.name}`);
        }
      }
    }
  });

  await t.test("bad input gets its own clear error, and nothing is lost", async (t) => {
    const before = await rowCount(first);
    const leader = await cluster.untilLed();
    const { term } = (await leader.status()).raft;
    for (const agent of cluster.agents) {
      t.match(await agent.post("/db/execute", '["INSERT INTO'), { status: 400, code: "malformed-json" });
      t.match(await agent.post("/db/execute", '{"sql": 1}'), { status: 400, code: String });
      t.match(await errorOf(agent, "FROBNICATE kept"), /syntax error/);
      t.match(await errorOf(agent, "INSERT INTO missing VALUES (1)"), /no such table: missing/);
      t.match(await errorOf(agent, "ATTACH 'x.db' AS x"), /ATTACH/);
      t.match(await errorOf(agent, "INSERT INTO kept VALUES (1, ''); DELETE FROM kept"), /one statement/i);
      t.match(await errorOf(agent, "BEGIN"), /BEGIN|transaction/);
      t.match(await errorOf(agent, "UPDATE _trivet_meta SET value = 0"), /_trivet_/);
      t.match(await agent.query("SELECT 1", "sometimes"), { status: 400, code: String, error: /level/ });
      const big = JSON.stringify([["INSERT INTO kept VALUES (?, ?)", 1, "x".repeat(10_000_000)]]);
      t.match(await postLarge(agent, big), { status: 413, code: String, error: /bytes|large/ });
    }
    t.equal(await rowCount(first), before, "no row came or went");
    t.match(await leader.status(), { raft: { role: "leader", term } }, "nobody lost leadership over it");
  });

  await t.test("a short write that would fill the disks of all nodes is refused", async (t) => {
    const rows =
      "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT i, '' FROM n";
    await first.execute(["CREATE TABLE many (id INTEGER PRIMARY KEY, note)", `INSERT INTO many ${rows}`]);
    const text = "x".repeat(1_000_000);
    for (const agent of cluster.agents) {
      t.match(await agent.execute([["UPDATE many SET note = ?", text]]), {
        status: 422,
        code: "too-expensive",
        // A slow disk has not written so much within its time.
        error: /tried out, (would write more than 64 MiB|did not end within 5000 ms).*was not carried out/,
      });
    }
    t.match(await second.execute([["UPDATE many SET note = ? WHERE id <= 20", text]]), {
      results: [{ rows_affected: 20 }],
    });
    t.match(await third.execute(["UPDATE many SET note = ''"]), { results: [{ rows_affected: 2000 }] });
  });

  await t.test("trivet sql loads what sqlite3 has dumped, all or nothing", async (t) => {
    const dump = (rows: readonly string[]): string =>
      [
        "PRAGMA foreign_keys=OFF;",
        "BEGIN TRANSACTION;",
        "CREATE TABLE sale(id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT);",
        ...rows.map((row) => `INSERT INTO sale VALUES(${row});`),
        "DELETE FROM sqlite_sequence;",
        "INSERT INTO sqlite_sequence VALUES('sale',7);",
        "CREATE INDEX sale_what ON sale(what);",
        "COMMIT;",
      ].join("\n");
    const load = (input: string) => runTrivet(["sql", "--api", second.url], { input });
    t.match(await load(dump(["1,'a'", "1,'twice'"])), {
      code: 1,
      stdout: "",
      stderr: /Statement 3 of 6 in the transaction failed, and nothing.*UNIQUE constraint/,
    });
    t.match(await errorOf(third, "INSERT INTO sale VALUES (1, '')"), /no such table/);
    const stderr = "PRAGMA foreign_keys is passed over: foreign keys are always checked.\n";
    t.match(await load(dump(["1,'a;'", "7,'line\nbreak'"])), { code: 0, stderr });
    t.match(await third.execute(["INSERT INTO sale (what) VALUES ('next')"]), {
      results: [{ last_insert_id: 8 }],
    });
  });

  await t.test(
    "a query that would run for ever is cut at its deadline and costs no leadership",
    async (t) => {
      const leader = await cluster.untilLed();
      const { term } = (await leader.status()).raft;
      const startedMs = performance.now();
      const query = leader.post("/db/query?level=none&timeout=3s", JSON.stringify([ENDLESS_QUERY]));
      // The main thread goes on: status answers while the store is busy.
      t.match(await leader.status(), { raft: { role: "leader", term } });
      const answer = await query;
      const tookMs = performance.now() - startedMs;
      t.match(answer, { status: 504, code: "query-timeout", error: String });
      t.ok(tookMs >= 2_900, `it had its time (${tookMs.toFixed(0)} ms)`);
      t.match(await leader.status(), { raft: { role: "leader", term } });
      t.match(await second.execute([["INSERT INTO kept VALUES (?, ?)", 100, "after"]]), { status: 200 });
      t.strictSame(
        (await third.query("SELECT note FROM kept WHERE id = 100", "linearizable")).results?.[0]?.values,
        [["after"]],
      );
      for (const agent of cluster.agents) {
        t.match(await agent.status(), { raft: { term } }, "no election was held");
      }
    },
  );

  await t.test(
    "a write that would never end is refused before it is an entry, and writes go on",
    async (t) => {
      const leader = await cluster.untilLed();
      const { term, lastIndex } = (await leader.status()).raft;
      const endless = await second.execute([`INSERT INTO kept (id) ${ENDLESS_QUERY}`]);
      t.match(endless, { status: 422, code: "too-expensive", error: /smaller pieces/ });
      t.match(await leader.status(), { raft: { term, lastIndex } });
      t.match(await third.execute([["INSERT INTO kept VALUES (?, ?)", 101, "after"]]), { status: 200 });
    },
  );

  await t.test("a slow query does not hold up writes for long: it gives way", async (t) => {
    const leader = await cluster.untilLed();
    const query = leader.post("/db/query?level=none&timeout=60s", JSON.stringify([ENDLESS_QUERY]));
    const write = await leader.execute([["INSERT INTO kept VALUES (?, ?)", 102, "meanwhile"]]);
    t.match(write, { status: 200, results: [{ rows_affected: 1 }] });
    t.match(await query, { status: 504, code: "query-timeout", error: /other writes had waited/ });
  });

  await t.test("a clean stop of the leader fails no write", async (t) => {
    const leader = await cluster.untilLed();
    const survivor = cluster.agents.find((agent) => agent !== leader) ?? first;
    const answers: Answer[] = [];
    let isStopped = false;
    let id = 1_000;
    const client = async (): Promise<void> => {
      while (!isStopped) {
        answers.push(await survivor.execute([["INSERT INTO kept VALUES (?, ?)", id++, "while stopping"]]));
      }
    };
    const writing = Promise.all(Array.from({ length: CLIENTS }, client));
    t.equal(await leader.stop(), 0, "it exits with 0");
    await cluster.untilLed();
    isStopped = true;
    await writing;
    t.strictSame(
      answers.filter((answer) => answer.status !== 200),
      [],
      `none of ${answers.length} writes failed`,
    );
    leader.start();
    await cluster.untilLed();
  });

  t.strictSame([...cluster.termsWithSeveralLeaders()], [], "no term had two leaders");
});

async function errorOf(agent: AgentProcess, sql: string): Promise<string> {
  const answer = await agent.execute([sql]);
  return answer.results?.[0]?.error ?? `no error: ${JSON.stringify(answer)}`;
}

async function rowCount(agent: AgentProcess): Promise<unknown> {
  const answer = await agent.query("SELECT count(*) FROM kept", "linearizable");
  return answer.results?.[0]?.values?.[0]?.[0];
}

/** fetch() gives up when the answer comes before the whole body is sent; this reads it. */
function postLarge(agent: AgentProcess, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${agent.url}/db/execute`, { method: "POST" }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode = 0 } = response;
        resolve({ status: statusCode, ...(JSON.parse(Buffer.concat(chunks).toString()) as object) });
      });
    });
    // The server may close while the rest is still being sent.
    sent.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "ECONNRESET") reject(error);
    });
    sent.end(body);
  });
}
