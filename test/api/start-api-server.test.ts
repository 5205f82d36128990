import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import t from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { CommandResult } from "../../agent/store/types.ts";
import { until } from "../cluster/until.ts";
import { bodyOf, LIMITS, post, readUntil, start, statusOf, talk } from "./api-fixture.ts";
import { sampleStatus } from "./sample-status.ts";

t.test("the API runs SQL in rqlite's forms", async (t) => {
  const { url, sql } = await start(t);
  const create = await post(
    `${url}/db/execute`,
    '["CREATE TABLE foo (id INTEGER PRIMARY KEY, name TEXT, b BLOB)"]',
  );
  t.match(create, { status: 200, text: '{"results":[{}]}' });
  t.match(create.headers.get("content-type"), /^application\/json/);

  const insert =
    '[["INSERT INTO foo(name) VALUES(?)", "fiona"], ["INSERT INTO foo(id, b) VALUES(:id, :b)", {"id": 9007199254740993, "b": [1, 2]}], "INSERT INTO nowhere VALUES(1)"]';
  const inserted = await post(`${url}/db/execute?transaction&timeout=2s`, insert);
  t.equal(inserted.status, 200);
  t.match(
    inserted.text,
    /^\{"results":\[\{"last_insert_id":1,"rows_affected":1\},\{"last_insert_id":9007199254740993,"rows_affected":1\},\{"error":"no such table: nowhere","code":"sql"\}\]\}$/,
  );
  t.same(sql.lastOptions, { transaction: true, session: null, timeoutMs: 2000 });
  t.same(await post(`${url}/db/session?timeout=3s`, "").then(({ text }) => text), '{"session":7}\n');
  t.same(sql.lastOptions, { timeoutMs: 3000 });
  await post(`${url}/db/execute?session=7&sequence=1`, '["SELECT 1"]');
  t.same(sql.lastOptions, { transaction: false, session: { id: 7, sequence: 1 }, timeoutMs: 10_000 });

  const query = await fetch(`${url}/db/query?q=SELECT+*+FROM+foo&level=none`);
  t.equal(
    await query.text(),
    '{"results":[{"columns":["id","name","b"],"types":["","",""],"values":[[1,"fiona",null],[9007199254740993,null,"AQI="]]}]}',
  );
  t.same(sql.lastOptions, { level: "none", timeoutMs: 5000 });

  const parameterized = await post(
    `${url}/db/query?associative&timings`,
    '[["SELECT name FROM foo WHERE id = ?", 1]]',
  );
  t.match(
    parameterized.text,
    /^\{"results":\[\{"types":\{"name":""\},"rows":\[\{"name":"fiona"\}\]\}\],"time":[\d.e-]+\}$/,
  );
  t.same(sql.lastOptions, { level: "linearizable", timeoutMs: 5000 });
  t.match((await post(`${url}/db/query?pretty`, '["SELECT 1 AS a"]')).text, /^\{\n {4}"results": \[\n/);
});

t.test("the API refuses a bad request with a code, a sentence and the right status", async (t) => {
  const { url, log } = await start(t);
  const refused: readonly (readonly [string, string | undefined, number, string, RegExp])[] = [
    ["/db/execute", '["INSERT', 400, "malformed-json", /line 1, column 9/],
    ["/db/execute", "", 400, "malformed-json", /column 1/],
    ["/db/execute", '{"a": 1}', 400, "wrong-shape", /array of statements/],
    ["/db/execute?session=7", '["SELECT 1"]', 400, "bad-parameter", /together/],
    ["/db/execute?session=7&sequence=0", '["SELECT 1"]', 400, "bad-parameter", /from 1 on/],
    ["/db/query?level=best", '["SELECT 1"]', 400, "bad-parameter", /none, weak, linearizable, strong/],
    ["/db/query?timeout=2h", '["SELECT 1"]', 400, "bad-parameter", /60000ms/],
    ["/db/query?level=none&freshness=1s", '["SELECT 1"]', 400, "bad-parameter", /freshness/],
    ["/db/query?q=%f", undefined, 400, "bad-parameter", /percent-encoded/],
    ["/db/query", undefined, 400, "bad-parameter", /parameter q/],
    ["/db/execute", undefined, 405, "method-not-allowed", /POST, not GET/],
    ["/status", "[]", 405, "method-not-allowed", /GET, not POST/],
    ["/db/nothing", undefined, 404, "not-found", /\/db\/execute/],
    ["/%zz%00", undefined, 400, "bad-parameter", /percent-encoded/],
    ["/", undefined, 404, "not-found", /./],
  ];
  for (const [path, body, status, code, message] of refused) {
    const response = await fetch(`${url}${path}`, body === undefined ? {} : { method: "POST", body });
    t.equal(response.status, status, `${path} ${body}`);
    t.match(await response.json(), { code, error: message });
  }
  const wrongMethod = await fetch(`${url}/db/query`, { method: "DELETE" });
  t.equal(wrongMethod.headers.get("allow"), "GET, POST, HEAD");
  const encoded = await fetch(`${url}/db/execute`, {
    method: "POST",
    body: "x",
    headers: { "content-encoding": "gzip" },
  });
  t.equal(encoded.status, 415);
  t.equal((await fetch(`${url}/status`, { method: "HEAD" })).status, 200);
  t.same(log, [], "none of them is a failure of the agent");
});

t.test("the API tells what the cluster refused, and only fails where it failed", async (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ["no-leader", 503],
    ["overloaded", 503],
    ["stopping", 503],
    ["store-busy", 503],
    ["store-closed", 503],
    ["query-failed", 422],
    ["too-expensive", 422],
    ["too-large", 413],
    ["result-too-large", 422],
    ["session-stale", 409],
    ["session-expired", 410],
    ["answer-too-large", 422],
    ["timeout", 504],
    ["query-timeout", 504],
    ["outcome-unknown", 504],
    ["store-failed", 500],
  ];
  for (const [code, status] of cases) {
    const reject = (): Promise<never> => Promise.reject(new TrivetError(code, `because of ${code}`));
    const { url, log } = await start(t, { sql: { execute: reject, query: reject, openSession: reject } });
    for (const path of ["/db/execute", "/db/query"]) {
      const response = await post(`${url}${path}`, '["SELECT 1"]');
      t.equal(response.status, status, code);
      t.same(JSON.parse(response.text), { code, error: `because of ${code}` });
      t.equal(response.headers.get("retry-after"), status === 503 ? "1" : null);
    }
    t.equal(log.length, status === 500 ? 2 : 0);
  }
  const crash = (): Promise<never> => Promise.reject(new RangeError("secret detail"));
  const { url, log } = await start(t, { sql: { execute: crash, query: crash, openSession: crash } });
  const response = await post(`${url}/db/execute`, '["SELECT 1"]');
  t.equal(response.status, 500);
  t.notMatch(response.text, /secret/);
  t.match(log[0], /secret detail/);
});

t.test("the API gives up on a service that does not keep its deadline", async (t) => {
  const never = (): Promise<never> => new Promise(() => undefined);
  const { url } = await start(t, { sql: { execute: never, query: never, openSession: never } });
  const response = await post(`${url}/db/execute?timeout=1ms`, '["SELECT 1"]');
  t.equal(response.status, 504);
  t.match(response.text, /"code":"timeout"/);
});

t.test("the API says whether the node is ready", async (t) => {
  let status = sampleStatus();
  const { url } = await start(t, { status: () => status });
  const get = async (path: string): Promise<readonly [number, string]> => {
    const response = await fetch(`${url}${path}`);
    return [response.status, await response.text()];
  };
  t.same(await get("/readyz"), [200, "[+]node ok\n[+]leader ok\n[+]store ok\n"]);
  t.same(await get("/livez"), [200, "[+]node ok\n"]);
  t.same(JSON.parse((await get("/status?pretty"))[1]), status);

  status = { ...status, raft: { ...status.raft, role: "candidate", leader: null } };
  t.match(await get("/readyz"), [503, /^\[\+\]node ok\n\[-\]leader does not exist: .*\n\[\+\]store ok\n$/]);
  t.same(await get("/readyz?noleader"), [200, "[+]node ok\n"]);
  status = { ...status, raft: { ...status.raft, role: "waiting" } };
  t.match(await get("/readyz"), [503, /\[-\]store waits/]);
  t.match(await get("/readyz?sync"), [400, /appliedIndex/]);
});

t.test("the API refuses other sites' pages", async (t) => {
  const { url, port } = await start(t);
  const send = async (headers: Record<string, string>): Promise<readonly [number, string]> => {
    const outgoing = request(`${url}/status`, { headers }).end();
    const [incoming] = await once(outgoing, "response");
    return [incoming.statusCode, await text(incoming)];
  };
  t.match(await send({ host: "evil.example" }), [403, /"foreign-host"/]);
  t.match(await send({ host: `127.0.0.1:${port}`, origin: "http://evil.example" }), [
    403,
    /"foreign-origin"/,
  ]);
  t.match(await send({ host: `localhost:${port}`, origin: `http://localhost:${port}` }), [200, /"raft"/]);
  t.equal(statusOf(await talk(port, "GET /livez HTTP/1.0\r\n\r\n")), 200, "HTTP/1.0 needs no Host");
});

t.test("the API refuses a body over its limit, early and without keeping it", async (t) => {
  const { url, port } = await start(t);
  const tenMegabytes = new Uint8Array(10_000_000).fill(0x20);
  for (let round = 0; round < 3; round++) {
    const response = await post(`${url}/db/execute`, tenMegabytes);
    t.equal(response.status, 413);
    t.match(JSON.parse(response.text), { code: "body-too-large", error: /4194304 bytes/ });
  }

  const head = "POST /db/execute HTTP/1.1\r\nHost: localhost\r\n";
  const announced = await talk(port, `${head}Content-Length: 10000000\r\n\r\n`, (text) => text.includes("}"));
  t.equal(statusOf(announced), 413, "nothing of the body was sent yet");
  const expecting = await talk(
    port,
    `${head}Expect: 100-continue\r\nContent-Length: 10000000\r\n\r\n`,
    (text) => text.includes("}"),
  );
  t.equal(statusOf(expecting), 413, "and it was not asked for");

  const chunk = `100000\r\n${" ".repeat(0x100000)}\r\n`;
  const chunked = await talk(port, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`, (text) =>
    text.includes("}"),
  );
  t.equal(statusOf(chunked), 413);

  const fitting = `["SELECT 1"${" ".repeat(LIMITS.bodyBytesMax - 12)}]`;
  t.equal(fitting.length, LIMITS.bodyBytesMax);
  t.equal((await post(`${url}/db/query`, fitting)).status, 200);
  t.equal((await post(`${url}/db/query`, `${fitting} `)).status, 413);
});

t.test("the API bounds what clients do not read, and goes on taking writes", async (t) => {
  // 24 MiB, of which the kernel takes 2 to 6.
  const { rows, text } = { rows: 192, text: "x".repeat(128 * 1024) };
  const values = Array.from({ length: rows }, () => [text]);
  const large = async (): Promise<CommandResult> => [{ kind: "rows", columns: ["a"], types: [""], values }];
  const sql = { execute: large, query: large, openSession: async () => 1 };
  const { url, port } = await start(t, { sql });
  // Node reads the head of the answer ahead, and no more.
  const ask = async (path: string): Promise<{ readonly socket: Socket; readonly status: number }> => {
    const socket = connect(port, "127.0.0.1");
    socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n["SELECT 1"]`);
    await once(socket, "readable");
    return { socket, status: statusOf(String(socket.read())) };
  };
  const clients = [];
  for (let nth = 0; nth < 4; nth++) clients.push(await ask("/db/query"));
  t.same(
    clients.map(({ status }) => status),
    [200, 200, 503, 503],
    "two answers wait, which is more than 32 MiB",
  );
  const refused = await post(`${url}/db/query`, '["SELECT 1"]');
  t.match([refused.status, refused.text], [503, /"overloaded"/]);
  t.equal((await fetch(`${url}/livez`)).status, 200);
  for (let nth = 0; nth < 3; nth++) clients.push(await ask("/db/execute"));
  const writers = clients.slice(4).map(({ status }) => status);
  t.equal(writers[0], 200, "a write has room where a read has none");
  t.equal(writers.at(-1), 422, "until there is none at all, and that is told");

  for (const { socket } of clients) socket.destroy();
  await until("room again", 10_000, async () => {
    const { status } = await post(`${url}/db/query`, '["SELECT 1"]');
    return status === 200 ? true : null;
  });
});

t.test("the API cuts who reads an answer too slowly, however steadily", async (t) => {
  const values = Array.from({ length: 192 }, () => ["x".repeat(128 * 1024)]);
  const large = async (): Promise<CommandResult> => [{ kind: "rows", columns: ["a"], types: [""], values }];
  const sql = { execute: large, query: large, openSession: async () => 1 };
  // 24 MiB in two seconds and a half.
  const pace = { graceMs: 100, bytesPerSecondMin: 10 * 1024 * 1024 };
  const { port, url } = await start(t, { sql, pace });
  const slow = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  for (const socket of slow) {
    socket.write("GET /db/query?q=SELECT+1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "readable");
  }
  t.equal((await fetch(`${url}/db/query?q=SELECT+1`)).status, 503, "they hold all the room that there is");

  let sips = 0;
  await until("room again", 10_000, async () => {
    // A byte now and then: their connections are never silent.
    for (const socket of slow) sips += socket.read(1)?.length ?? 0;
    const answer = await fetch(`${url}/db/query?q=SELECT+1`);
    return answer.status === 200 ? (await answer.text()).length : null;
  }).then((length) => t.ok(length > 192 * 128 * 1024, "who reads gets all of it"));
  t.ok(sips > 2, `${sips} bytes were read one by one`);
  for (const socket of slow) {
    const rest = await readUntil(socket, () => false);
    t.ok(rest.length < 192 * 128 * 1024, "what the kernel has, and no more");
  }
});

t.test("the API keeps a connection in use after a refused body", async (t) => {
  const { port } = await start(t);
  const refused = `POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n${" ".repeat(5_000_000)}`;
  const next = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const received = await talk(port, `${refused}${next}`);
  t.match(received, /^HTTP\/1.1 413[\s\S]*HTTP\/1.1 200/);
});

t.test("the API survives what is not HTTP", async (t) => {
  const { url, port, log } = await start(t);
  const garbage: readonly (readonly [string, number])[] = [
    ["\u0000\u0001\u0002\r\n\r\n", 400],
    ["\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003", 400],
    ["GET / HTTP/9.9\r\n\r\n", 400],
    ["GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\u0000b\r\n\r\n", 400],
    [`GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(20_000)}\r\n\r\n`, 431],
    ["POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400],
    ["POST /db/execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
  ];
  for (const [bytes, status] of garbage) {
    const received = await talk(port, bytes);
    t.equal(statusOf(received), status, JSON.stringify(bytes.slice(0, 60)));
  }
  const targets: readonly (readonly [string, number])[] = [
    ["OPTIONS * HTTP/1.1\r\nHost: localhost", 400],
    ["GET http://localhost/livez HTTP/1.1\r\nHost: evil.example", 200],
    ["GET http://localhost?a=1 HTTP/1.1\r\nHost: localhost", 404],
    ["GET http://evil.example/livez HTTP/1.1\r\nHost: localhost", 403],
    ["GET http://[ HTTP/1.1\r\nHost: localhost", 400],
    ["GET http://me@localhost/livez HTTP/1.1\r\nHost: localhost", 400],
    ["GET ftp://localhost/livez HTTP/1.1\r\nHost: localhost", 400],
    ["GET /livez#a HTTP/1.1\r\nHost: localhost", 400],
    ["GET /liv\u00e9z HTTP/1.1\r\nHost: localhost", 400],
    ["GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", 400],
    ["GET /%6civez HTTP/1.1\r\nHost: localhost", 200],
    ["GET /livez/../livez HTTP/1.1\r\nHost: localhost", 400],
    ["GET /livez HTTP/1.1\r\nHost: a b", 400],
    ["GET //evil.example/ HTTP/1.1\r\nHost: localhost", 404],
    ["GET /db/query?q=SELECT%00 HTTP/1.1\r\nHost: localhost", 200],
    ["TRACE /livez HTTP/1.1\r\nHost: localhost", 405],
    ["GET /livez HTTP/1.1", 400],
    ["GET http://localhost/livez HTTP/1.1", 400],
    ["GET /livez HTTP/1.1\r\nHost: localhost\r\nExpect: tea", 417],
    ["GET /livez HTTP/1.0\r\nExpect: tea", 200],
    ["CONNECT localhost:80 HTTP/1.1\r\nHost: localhost", 400],
  ];
  for (const [head, status] of targets) {
    const received = await talk(port, `${head}\r\nConnection: close\r\n\r\n`);
    t.equal(statusOf(received), status, head);
    if (status >= 400) t.hasProps(bodyOf(received), ["code", "error"]);
  }
  // Gone in the middle of its body.
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.end("POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[");
  await readUntil(socket, () => false);
  t.equal((await fetch(`${url}/livez`)).status, 200);
  t.same(log, []);
});

t.test("the API cuts who sends too slowly", async (t) => {
  const timeouts = {
    headersTimeout: 100,
    requestTimeout: 200,
    keepAliveTimeout: 100,
    connectionsCheckingInterval: 20,
  };
  const { port } = await start(t, { timeouts });
  const slow = [
    "GET /livez HT",
    "POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[",
  ];
  for (const bytes of slow) {
    const received = await talk(port, bytes);
    t.equal(statusOf(received), 408, bytes);
    t.match(bodyOf(received), { code: "slow-request" });
  }
});

t.test("the API answers requests that come in one packet in order", async (t) => {
  const { port } = await start(t);
  const one = "GET /db/query?q=SELECT+1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const last = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const received = await talk(port, one.repeat(50) + last);
  t.equal(received.match(/"values":\[\[1\]\]/g)?.length, 50);
});

t.test("startApiServer() says that its port is taken, and what to do", async (t) => {
  const { port } = await start(t);
  await t.rejects(start(t, { port }), {
    code: "port-in-use",
    message: new RegExp(`127.0.0.1:${port}.*--http`),
  });
});

t.test("close() lets a running request end and takes no new one", async (t) => {
  let finish: () => void = () => undefined;
  let ask: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    ask = resolve;
  });
  const never = (): Promise<never> => new Promise(() => undefined);
  const wait = async (): Promise<[]> => {
    ask();
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    return [];
  };
  const { url, close } = await start(t, {
    sql: { execute: wait, query: wait, openSession: never },
  });
  const running = post(`${url}/db/execute`, '["SELECT 1"]');
  await asked;
  const closed = close();
  await t.rejects(fetch(`${url}/livez`));
  finish();
  const { status, headers } = await running;
  t.same([status, headers.get("connection")], [200, "close"], "and does not wait for the client to leave");
  await closed;
  await t.resolves(close(), "again");
});
