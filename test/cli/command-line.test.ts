import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { startApiServer } from "../../agent/api/start-api-server.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import { createLineLogger } from "../../agent/platform/logger.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { SqlService } from "../../agent/replica/sql-service.ts";
import { MemorySqlService } from "../api/memory-sql-service.ts";
import { noObjects } from "../api/no-objects.ts";
import { sampleStatus } from "../api/sample-status.ts";
import { runTrivet } from "./run-trivet.ts";

/** An API over a database in memory, or over `sql`. */
async function startApi(t: Test, sql?: SqlService): Promise<string> {
  const memory = new MemorySqlService();
  const server = await startApiServer({
    listen: { host: "127.0.0.1", port: 0 },
    sql: sql ?? memory,
    objects: noObjects,
    status: sampleStatus,
    limits: {
      bodyBytesMax: 1e6,
      requestTimeoutMs: 5_000,
      queryTimeoutMs: 5_000,
      requestTimeoutMsMax: 10_000,
    },
    logger: createLineLogger({ level: "error", journal: false, write: (line) => t.fail(line) }),
    clock: systemClock,
  });
  t.teardown(async () => {
    await server.close();
    memory.close();
  });
  return server.url;
}

/** The URL of a server that accepts connections and does with them what `onBytes` says. */
async function startSilent(
  t: Test,
  onBytes: "nothing" | "reset",
): Promise<{ url: string; connections: () => number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => undefined);
    socket.on("data", () => (onBytes === "reset" ? socket.resetAndDestroy() : undefined));
    t.teardown(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, connections: () => connections };
}

/** Nothing listens there. */
async function deadUrl(t: Test): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  t.comment(`nothing on port ${port}`);
  return `http://127.0.0.1:${port}`;
}

t.test("trivet prints its version and its help", async (t) => {
  t.match(await runTrivet(["version"]), { code: 0, stdout: /^trivet \d+\.\d+\.\d+\S*\n$/, stderr: "" });
  t.match(await runTrivet(["--version"]), { code: 0 });
  t.match(await runTrivet(["help"]), { code: 0, stdout: /agent.*\n.*dev/, stderr: "" });
  t.match(await runTrivet(["--help"]), { code: 0 });
  t.match(await runTrivet([]), { code: 2, stdout: "", stderr: /usage: trivet COMMAND/ });
  for (const command of ["agent", "dev", "status", "sql"]) {
    t.match(await runTrivet([command, "--help"]), {
      code: 0,
      stdout: new RegExp(`usage: trivet ${command}`),
      stderr: "",
    });
  }
  t.match(await runTrivet(["help", "sql"]), { code: 0, stdout: /usage: trivet sql/ });
});

t.test("trivet ends with 2 and a hint if it is used wrongly", async (t) => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [["agnet"], /no command "agnet"; did you mean "agent"\?/],
    [["frobnicate"], /no command "frobnicate"; there are agent, dev/],
    [["agent", "--htpp", "127.0.0.1:1"], /no flag --htpp; did you mean "--http"\?/],
    [["agent", "-x"], /no flag -x/],
    [["agent", "--http"], /--http needs a value: HOST:PORT/],
    [["agent", "--data", "--http", "127.0.0.1:1"], /--data needs a value, found --http/],
    [["agent", "extra"], /"extra"/],
    [["dev", "--nodes", "0"], /from 1 to 9/],
    [["dev", "--nodes", "10"], /from 1 to 9/],
    [["dev", "--nodes", "three"], /from 1 to 9/],
    [["status", "--json=yes"], /--json takes no value/],
    [["status", "--api", "127.0.0.1:4001"], /it must be a URL such as http/],
    [["status", "--api", "http://127.0.0.1:4001/db"], /it must be a URL/],
    [["sql", "--level", "best", "SELECT 1"], /one of none, weak/],
    [["sql", "--timeout", "0", "SELECT 1"], /seconds from/],
    [["sql", "SELECT", "1"], /"1"/],
  ];
  for (const [args, message] of wrong) {
    t.match(await runTrivet(args), { code: 2, stdout: "", stderr: message }, args.join(" "));
  }
});

t.test("trivet agent ends with 78 and names what is wrong with its configuration", async (t) => {
  const directory = t.testdir({ "wrong.yaml": "htpp: 127.0.0.1:1\nheartbeat-ms: fast\n" });
  const file = join(directory, "wrong.yaml");
  const wrong: readonly (readonly [readonly string[], NodeJS.ProcessEnv, RegExp])[] = [
    [["--http", "nowhere"], {}, /^trivet: --http: found "nowhere", but it must be HOST:PORT.*\n$/],
    [[], { TRIVET_BOOTSTRAP_EXPECT: "many" }, /^trivet: TRIVET_BOOTSTRAP_EXPECT: found "many"/],
    [["--config", file], {}, /did you mean "http"\?\ntrivet: heartbeat-ms in .*wrong.yaml: found "fast"/],
    [["--config", join(directory, "none.yaml")], {}, /none.yaml: found ENOENT/],
    [["--mqtt", "0.0.0.0:1883"], {}, /without a cluster key only loopback/],
    [["--key", "/etc/key"], {}, /--key: .*not yet|--key: .*cannot seal/],
  ];
  for (const [args, env, stderr] of wrong) {
    t.match(await runTrivet(["agent", ...args], { env }), { code: 78, stdout: "", stderr }, args.join(" "));
  }
});

t.test("trivet status shows what an agent sees, as text or as it is", async (t) => {
  const url = await startApi(t);
  const { code, stdout } = await runTrivet(["status", "--api", url]);
  t.equal(code, 0);
  t.match(stdout, /^HA: yes, 3 of 3 voters, tolerates 1 more failure\n/);
  t.match(stdout, /raft +leader, term 3, leader shop-1\n/);
  t.match(stdout, /mqtt:\/\/127.0.0.1:18832 +down: connection refused\n/);
  const json = await runTrivet(["status", "--json"], { env: { TRIVET_API: ` ${await deadUrl(t)}, ${url}` } });
  t.same([json.code, JSON.parse(json.stdout)], [0, sampleStatus()]);
});

t.test("trivet status gives up on agents that hang", async (t) => {
  const url = await startApi(t);
  const { url: hanging } = await startSilent(t, "nothing");
  t.match(await runTrivet(["status", "--api", hanging, "--api", url]), { code: 0, stdout: /HA: yes/ });
  t.match(await runTrivet(["status", "--api", hanging, "--api", hanging]), {
    code: 1,
    stderr: /no answer in time/,
  });
});

t.test("trivet status and sql end with 1 if no agent is there, or it is none", async (t) => {
  const api = await deadUrl(t);
  t.match(await runTrivet(["status", "--api", api]), {
    code: 1,
    stdout: "",
    stderr: /No agent answered .*ECONNREFUSED/,
  });
  t.match(await runTrivet(["sql", "--api", api, "SELECT 1"]), {
    code: 1,
    stdout: "",
    stderr: /No agent answered/,
  });
  const other = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  for (const args of [["status"], ["sql", "SELECT 1"]]) {
    t.match(await runTrivet([...args, "--api", `http://127.0.0.1:${port}`]), {
      code: 1,
      stderr: /not as a Trivet agent/,
    });
  }
});

t.test("trivet sql runs statements and draws their rows", async (t) => {
  const api = ["--api", await startApi(t)];
  t.match(await runTrivet(["sql", ...api, "CREATE TABLE sale (id INTEGER PRIMARY KEY, what TEXT)"]), {
    code: 0,
    stdout: "ok\n",
  });
  const insert = "INSERT INTO sale VALUES (1, 'a' || char(27, 10)), (9007199254740993, NULL)";
  t.match(await runTrivet(["sql", ...api, insert]), { code: 0, stdout: "2 rows affected\n" });
  const rows = await runTrivet(["sql", ...api, "SELECT id, what FROM sale ORDER BY id"]);
  t.equal(
    rows.stdout,
    [
      "              id  what",
      "----------------  ---------",
      "               1  a\\u001b\\n",
      "9007199254740993  NULL",
      "2 rows",
      "",
    ].join("\n"),
  );
  const json = await runTrivet(["sql", "--json", ...api, "SELECT max(id) AS id FROM sale"]);
  t.equal(json.stdout, '{"results":[{"columns":["id"],"types":[""],"values":[[9007199254740993]]}]}\n');
  t.match(await runTrivet(["sql", ...api, "SELECT * FROM nowhere"]), {
    code: 1,
    stdout: "",
    stderr: "trivet: no such table: nowhere\n",
  });
  t.match(await runTrivet(["sql", ...api, "PRAGMA user_version = 7"]), { code: 0 });
  t.match(await runTrivet(["sql", ...api, "PRAGMA user_version"]), { code: 0, stdout: /7/ });
  t.match(await runTrivet(["sql", ...api, "EXPLAIN DELETE FROM sale"]), { code: 0, stdout: /Halt/ });
});

t.test("trivet sql takes statements from standard input, and stops at the first error", async (t) => {
  const api = ["--api", await startApi(t)];
  const input = [
    "CREATE TABLE a (x); -- a comment; with a semicolon",
    "CREATE TRIGGER b AFTER INSERT ON a BEGIN",
    "  UPDATE a SET x = x + 1;",
    "END;",
    "INSERT INTO a VALUES (1); INSERT INTO a VALUES (';",
    "');",
    "INSERT INTO nowhere VALUES (1);",
    "INSERT INTO a VALUES (3);",
  ];
  t.match(await runTrivet(["sql", ...api], { input: input.join("\n") }), {
    code: 1,
    stdout: "ok\nok\n1 row affected\n1 row affected\n",
    stderr: /no such table: nowhere/,
  });
  const count = await runTrivet(["sql", ...api], { input: "SELECT count(*) AS n FROM a" });
  t.equal(count.stdout, "n\n-\n2\n1 row\n", "the last one needs no semicolon");
  t.match(await runTrivet(["sql", ...api], { input: "  -- nothing\n" }), { code: 0, stdout: "" });
});

t.test("trivet sql goes to the next agent, and tells what it cannot know", async (t) => {
  const refuse = (): Promise<never> => Promise.reject(new TrivetError("no-leader", "There is no leader."));
  const leaderless = await startApi(t, { execute: refuse, query: refuse, openSession: refuse });
  const reset = await startSilent(t, "reset");
  const url = await startApi(t);
  const apis = (...urls: string[]): string[] => urls.flatMap((api) => ["--api", api]);

  const fallback = await runTrivet(["sql", ...apis(await deadUrl(t), leaderless, url), "CREATE TABLE a (x)"]);
  t.match(fallback, { code: 0, stdout: "ok\n" });
  t.match(await runTrivet(["sql", ...apis(leaderless), "CREATE TABLE b (x)"]), {
    code: 1,
    stderr: /no leader/,
  });

  const read = await runTrivet(["sql", ...apis(reset.url, url), "SELECT 1 AS n"]);
  t.match(read, { code: 0, stdout: /1 row/ }, "a read may be asked again");
  const write = await runTrivet(["sql", ...apis(reset.url, url), "INSERT INTO a VALUES (1)"]);
  t.match(write, { code: 0, stdout: /1 row affected/ }, "so may a write: its session makes it happen once");
  t.match(await runTrivet(["sql", ...apis(url), "SELECT count(*) AS n FROM a"]), { stdout: /\n1\n/ });
  const lost = (): Promise<never> =>
    Promise.reject(new TrivetError("outcome-unknown", "The answer got lost."));
  const silent = await startApi(t, { execute: lost, query: lost, openSession: async () => 1 });
  t.match(
    await runTrivet(["sql", ...apis(silent, leaderless), "INSERT INTO a VALUES (2)"]),
    { code: 1, stdout: "", stderr: /may or may not have happened/ },
    "that the last one did nothing does not speak for the others",
  );
});

t.test("trivet says nothing when its reader is gone", async (t) => {
  const api = await startApi(t);
  const sql =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT i FROM n";
  t.same(await runTrivet(["sql", "--api", api, sql], { readsOutput: false }), {
    code: 0,
    stdout: "",
    stderr: "",
  });
});

t.test("trivet dev refuses data that it cannot resume", async (t) => {
  const directory = t.testdir();
  const nodes = [{ name: "node-1", http: 1, mqtt: 2 }];
  await writeFile(join(directory, "dev.json"), JSON.stringify({ nodes }));
  t.match(await runTrivet(["dev", "--data", directory]), { code: 1, stderr: /cluster of 1 nodes, not of 3/ });
  await writeFile(join(directory, "dev.json"), "{}");
  t.match(await runTrivet(["dev", "--data", directory]), { code: 1, stderr: /not what trivet dev wrote/ });
});
