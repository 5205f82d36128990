import { connect } from "node:net";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { text as readText } from "node:stream/consumers";
import { t } from "tap";
import { startApiServer } from "../../agent/api/start-api-server.ts";
import { systemClock as clock } from "../../agent/platform/clock.ts";
import { ServiceTrio } from "../replica/service-trio.ts";
import { sampleStatus } from "./sample-status.ts";

const trio = await ServiceTrio.start(t);
const { sql, objects } = trio.get(0);
const server = await startApiServer({
  listen: { host: "127.0.0.1", port: 0 },
  sql,
  objects,
  status: sampleStatus,
  limits: {
    bodyBytesMax: 4 * 1024 * 1024,
    requestTimeoutMs: 10_000,
    queryTimeoutMs: 5_000,
    requestTimeoutMsMax: 60_000,
  },
  logger: { log: () => undefined },
  clock,
});
t.teardown(() => server.close());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: {
    readonly revision: number;
    readonly code?: string;
    readonly after?: string;
    readonly objects?: readonly { readonly name: string }[];
  };
}

async function ask(method: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(`${server.url}${path}`, { ...init, method });
  const text = await response.text();
  const isJson = text !== "" && response.headers.get("content-type")?.startsWith("application/json") === true;
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : {} };
}

const put = (path: string, body: string, headers: Record<string, string> = {}): Promise<Answer> =>
  ask("PUT", path, { body, headers });

t.test("the API puts, gets, lists and deletes objects, bound to their revisions", async (t) => {
  const first = await put("/objects/role/-/a%2Fb", "one", { "if-none-match": "*" });
  t.match(first, { status: 200, body: { uid: String } });
  t.equal(first.headers.get("etag"), `"${first.body.revision}"`);
  t.match(await put("/objects/role/-/a%2Fb?revision=0", "two"), { status: 412, body: { code: "conflict" } });

  const found = await ask("GET", "/objects/role/-/a%2Fb");
  t.match(found, { status: 200, text: "one" });
  t.equal(found.headers.get("etag"), first.headers.get("etag"));
  const second = await put("/objects/role/-/a%2Fb", "two", { "if-match": `"${first.body.revision}"` });
  t.equal(second.status, 200);
  const late = await ask("DELETE", "/objects/role/-/a%2Fb", {
    headers: { "if-match": `"${first.body.revision}"` },
  });
  t.match(late, { status: 412, body: { code: "conflict" } });

  await put("/objects/role/site-1/c", "three");
  const page = await ask("GET", "/objects/role?limit=1");
  t.strictSame([page.body.objects?.map(({ name }) => name), page.body.after], [["a/b"], "-/a%2Fb"]);
  const rest = await ask("GET", `/objects/role?after=${encodeURIComponent(page.body.after ?? "")}`);
  t.strictSame([rest.body.objects?.map(({ name }) => name), rest.body.after], [["c"], undefined]);
  const empty = await ask("GET", "/objects/role/-");
  t.strictSame(
    empty.body.objects?.map(({ name }) => name),
    ["a/b"],
    "- is the namespace without a name",
  );

  t.equal((await ask("DELETE", `/objects/role/-/a%2Fb?revision=${second.body.revision}`)).status, 200);
  t.match(await ask("GET", "/objects/role/-/a%2Fb"), { status: 404, body: { code: "no-such-object" } });
});

t.test("a write of an object in a session is repeated with its first answer", async (t) => {
  const { session } = JSON.parse((await ask("POST", "/db/session")).text);
  const path = `/objects/role/-/once?session=${session}&sequence=1&revision=0`;
  const first = await put(path, "one");
  t.equal(first.status, 200);
  t.strictSame((await put(path, "one")).body, first.body);
  t.match(await put(path.replace("sequence=1", "sequence=2"), "one"), { status: 412 });
});

t.test("the API refuses requests for objects that make no sense", async (t) => {
  const refused: readonly (readonly [string, string, number, string])[] = [
    ["GET", "/objects", 400, "bad-parameter"],
    ["HEAD", "/objects?watch", 400, ""],
    ["GET", "/objects/role?watch&from=-1", 400, "bad-parameter"],
    ["GET", "/objects?watch&from=99999999", 409, "revision-unknown"],
    ["GET", "/objects/role?after=a", 400, "bad-parameter"],
    ["GET", "/objects/role?limit=0", 400, "bad-parameter"],
    ["PUT", "/objects/role/-", 405, "method-not-allowed"],
    ["PUT", "/objects/role/-/x?session=1", 400, "bad-parameter"],
    ["PUT", "/objects/role/-/%FF", 400, "bad-parameter"],
    ["PUT", `/objects/role/-/${"x".repeat(257)}`, 400, "invalid-object"],
  ];
  for (const [method, path, status, code] of refused) {
    const answer = await ask(method, path);
    t.strictSame([answer.status, answer.body.code ?? ""], [status, code], `${method} ${path.slice(0, 40)}`);
  }
  t.match(await put("/objects/role/-/x", "1", { "if-match": "12" }), { status: 400 });
  t.match(await put("/objects/role/-/x", "1", { "if-match": '"9999999999999999"' }), { status: 400 });
  t.match(await put("/objects/role/-/x?revision=1", "1", { "if-match": '"1"' }), { status: 400 });
  t.match(await put("/objects/role/-/x", "x".repeat(1024 * 1024 + 1)), { status: 413 });
});

t.test("a write may be bound to there being an object, or none", async (t) => {
  const path = "/objects/bound/-/a";
  const existing = { "if-match": "*" };
  const missing = { "if-none-match": "*" };
  const conflict = { status: 412, body: { code: "conflict" } };
  t.match(await put(path, "1", existing), conflict);
  t.match(await ask("DELETE", path, { headers: existing }), conflict);
  t.match(await ask("DELETE", path, { headers: missing }), { status: 200 }, "as without: nothing is there");
  t.match(await put(path, "1", missing), { status: 200 });
  t.match(await ask("DELETE", path, { headers: missing }), conflict);
  t.match(await put(path, "2", existing), { status: 200 });
  t.match(await put(path, "3", missing), conflict);
  t.match(await ask("GET", path), { text: "2" });
  t.match(await ask("DELETE", path, { headers: existing }), { status: 200 });
  t.match(await ask("GET", path), { status: 404 });
});

/** Sends a request line as it is, which fetch() would not. */
async function send(line: string, body = ""): Promise<{ readonly status: number; readonly body: string }> {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  socket.write(
    `${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const received = await readText(socket);
  const status = Number(/^HTTP\/1.1 (\d+)/.exec(received)?.[1]);
  return { status, body: received.slice(received.indexOf("\r\n\r\n") + 4) };
}

t.test("a request for an object reaches the one that its target names, in absolute form too", async (t) => {
  const { host } = new URL(server.url);
  await put("/objects/room/n/e", "meant");
  await put(`/objects/${encodeURIComponent(host)}/objects/room`, "another");
  t.same(await send(`GET ${server.url}/objects/room/n/e`), { status: 200, body: "meant" });
  t.match(await send(`PUT ${server.url}/objects/room/n/put`, "x"), { status: 200 });
  t.match(await ask("GET", "/objects/room/n/put"), { status: 200, text: "x" });
  t.match(await send(`DELETE ${server.url}/objects/room/n/e?revision=1`), { status: 412 }, "with its query");
  t.match(await send(`DELETE ${server.url}/objects/room/n/e`), { status: 200 });
  t.match(await ask("GET", "/objects/room/n/e"), { status: 404 });
  t.match(await ask("GET", `/objects/${encodeURIComponent(host)}/objects/room`), { text: "another" });
  t.match(await send(`GET ${server.url}/objects/room`), { status: 200, body: /"name":"put"/ });
});

t.test("a path with a dot segment is refused, encoded or not", async (t) => {
  for (const path of ["a/../b/c/d", "a/%2e%2E/b/c/d", "b/./c/d", "b/c/..", "b/%2e/c", ".%2e/b/c"]) {
    const answer = await send(`PUT /objects/${path}`, "x");
    t.match(answer, { status: 400, body: /bad-parameter/ }, path);
  }
  for (const kind of ["a", "b"]) t.strictSame((await ask("GET", `/objects/${kind}`)).body.objects, []);
  t.match(await put("/objects/b/.../..d", "x"), { status: 200 });
});

t.test("a watch is a stream of lines, goes on where it ended, and ends with the server", async (t) => {
  const { body } = await put("/objects/color/-/a", "red");
  const abort = new AbortController();
  const lines = await watch(`/objects/color?watch&from=${body.revision - 1}`, abort.signal);
  const [first] = await lines.take(1);
  t.match(first, { revision: body.revision, events: [{ type: "put", object: { name: "a", body: "cmVk" } }] });
  await put("/objects/role/-/other", "x");
  const gone = await ask("DELETE", "/objects/color/-/a");
  const [second] = await lines.take(1);
  t.match(second, {
    revision: gone.body.revision,
    events: [{ type: "delete", object: { name: "a", revision: gone.body.revision, body: undefined } }],
  });
  abort.abort();

  await objects.write([{ kind: "compact", revision: body.revision }], { timeoutMs: 10_000 });
  t.match(await ask("GET", "/objects/color?watch&from=0"), {
    status: 410,
    body: { code: "revision-compacted" },
  });
  const resumed = await watch(`/objects/color/-/a?watch&from=${body.revision}`, new AbortController().signal);
  t.match(await resumed.take(1), [{ revision: gone.body.revision, events: [{ type: "delete" }] }]);
  await server.close();
  t.strictSame(await resumed.take(1), [], "the end, without an error");
});

interface Lines {
  take(count: number): Promise<readonly unknown[]>;
}

async function watch(path: string, signal: AbortSignal): Promise<Lines> {
  const response = await fetch(`${server.url}${path}`, { signal });
  if (response.body === null) throw new Error(`${path} has no body`);
  const input = Readable.fromWeb(response.body as never);
  // The test ends it.
  input.on("error", () => undefined);
  const lines = createInterface({ input })[Symbol.asyncIterator]();
  return {
    async take(count) {
      const taken: unknown[] = [];
      while (taken.length < count) {
        const next = await lines.next();
        if (next.done === true) break;
        taken.push(JSON.parse(next.value));
      }
      return taken;
    },
  };
}
