import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { t } from "tap";
import type { AgentProcess } from "./agent-process.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";
import { Watcher } from "./watcher.ts";

const MIB = 1024 * 1024;
const OBJECTS = 12;
/** What a node takes. */
const WATCHES = 256;
const STALLED = 250;
const AT_A_TIME = 5;
const WRITES = 50;

/**
 * For 250 clients that do not read: 64 KiB each in the buffer of its socket (16 MiB), 8 MiB of pages in text, four pages of the history
 * that are being read and encoded (1 MiB each, in three forms), what a connection and its request need (some 20 KiB), and what the
 * garbage collector lets lie meanwhile. Measured: 65 to 80 MiB. It was 900 MiB and more while each of them held its page.
 */
const GROWTH_BYTES_MAX = 128 * MIB;

/** What the kernel takes for them, some 2 MiB each, must be copied. It was 7 s and more before, and went on so. */
const MEANWHILE_MS_MAX = 2_000;

t.test("clients that do not read cost little memory, and no one's time", { timeout: 240_000 }, async (t) => {
  const cluster = await TestCluster.start(1);
  t.teardown(() => cluster.end());
  const [agent] = cluster.agents;
  if (agent === undefined) throw new Error("one agent");
  await agent.execute(["CREATE TABLE kept (id INTEGER NOT NULL)"]);
  const names = Array.from({ length: OBJECTS }, (_, nth) => String.fromCharCode(97 + nth));
  for (const name of names) t.ok((await put(agent, name, name.repeat(MIB))) > 0);
  const quietMs = median(await writes(agent, (count) => count === WRITES));
  const before = await residentBytes(agent);

  const stalled: IncomingMessage[] = [];
  let most = 0;
  // Some at a time: what is measured is what they cost, and not a rush of connections.
  const stallSome = async (): Promise<void> => {
    for (let nth = 0; nth < STALLED; nth += AT_A_TIME) stalled.push(await watch(agent, 0));
  };
  const stalling = Promise.all(Array.from({ length: AT_A_TIME }, stallSome));
  const isDone = async (count: number): Promise<boolean> => {
    most = Math.max(most, await residentBytes(agent));
    return stalled.length >= STALLED && count >= WRITES;
  };
  const meanwhileMs = median(await writes(agent, isDone));
  await stalling;
  t.strictSame(new Set(stalled.map(({ statusCode }) => statusCode)), new Set([200]));
  const afterMs = median(await writes(agent, isDone));
  const growth = most - before;
  t.ok(growth < GROWTH_BYTES_MAX, `they cost ${Math.round(growth / MIB)} MiB`);
  t.ok(meanwhileMs < MEANWHILE_MS_MAX, `a write takes ${Math.round(meanwhileMs)} ms while they come`);
  t.ok(
    afterMs < 10 * quietMs + 100,
    `${Math.round(afterMs)} ms then, ${Math.round(quietMs)} ms without them`,
  );

  const revision = await put(agent, "new", "told");
  const reader = new Watcher([agent], revision - 1);
  await until("a client that reads is told", 30_000, async () => reader.seen[0] ?? null);
  t.strictSame(reader.seen, [{ revision, name: "new", body: "told" }]);
  await reader.stop();

  const [late, leaver] = stalled;
  if (late === undefined || leaver === undefined) throw new Error("two of them");
  const seen = await bodiesUntil(late, "told");
  t.strictSame(
    seen,
    [...names.map((name) => name.repeat(MIB)), "told"],
    "one that reads again misses nothing",
  );

  // Those that have left may not have been noticed yet.
  const more = await until("as many as a node takes", 30_000, async () => {
    const one = await watch(agent, revision);
    return one.statusCode === 200 ? null : one;
  });
  t.match([more.statusCode, await json(more)], [503, { code: "overloaded", error: `${WATCHES} watches` }]);
  leaver.destroy();
  await until("the place of one that left", 30_000, async () => {
    const one = await watch(agent, revision);
    return one.statusCode === 200 ? one : null;
  });
});

/** Resolves with the revision. */
async function put(agent: AgentProcess, name: string, body: string): Promise<number> {
  const answer = await fetch(`${agent.url}/objects/big/n/${name}`, { method: "PUT", body });
  return ((await answer.json()) as { readonly revision: number }).revision;
}

/** How long each write took, one after the other. */
async function writes(
  agent: AgentProcess,
  isDone: (count: number) => boolean | Promise<boolean>,
): Promise<readonly number[]> {
  const times: number[] = [];
  while (!(await isDone(times.length))) {
    const startMs = performance.now();
    const { status } = await agent.execute([["INSERT INTO kept VALUES (?)", times.length]]);
    if (status !== 200) throw new Error(`a write was answered with ${status}`);
    times.push(performance.now() - startMs);
  }
  return times;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function residentBytes({ pid }: AgentProcess): Promise<number> {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

/** A watch on a connection of its own, of which nothing but the head of the answer is read as long as nobody asks. */
async function watch(agent: AgentProcess, from: number): Promise<IncomingMessage> {
  const request = get(`${agent.url}/objects?watch&from=${from}`, { agent: false });
  const [response] = await once(request, "response");
  // Either side may cut it.
  for (const emitter of [request, response]) emitter.on("error", () => undefined);
  return response;
}

/** The bodies of the objects that a watch tells of, up to the one that reads `last`. */
async function bodiesUntil(response: IncomingMessage, last: string): Promise<readonly string[]> {
  const bodies: string[] = [];
  let rest = "";
  response.setEncoding("utf8");
  for await (const text of response) {
    const lines = `${rest}${text}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { events } = JSON.parse(line) as { events: { object: { body: string } }[] };
      bodies.push(...events.map(({ object }) => Buffer.from(object.body, "base64").toString()));
    }
    if (bodies.at(-1) === last) break;
  }
  return bodies;
}
