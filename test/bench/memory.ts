import { type ChildProcess, spawn } from "node:child_process";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { AgentProcess } from "../cluster/agent-process.ts";
import { TestCluster } from "../cluster/test-cluster.ts";
import { cpuMsOf, memoryOf } from "./process-memory.ts";

/**
 * `npm run bench:memory`: what an agent of three takes when it idles, after a load, and while 200 clients do not read what they have
 * asked for; beside a bare Node, and one with an idle thread. Memory does not depend on how busy the machine is, but on when V8
 * collects garbage: longer runs (`--idle 300 --load 120`) tell more.
 */
const { values } = parseArgs({
  options: { idle: { type: "string", default: "60" }, load: { type: "string", default: "20" } },
});
const IDLE_SECONDS = Number(values.idle);
const LOAD_SECONDS = Number(values.load);
const CLIENTS = 16;
const ROW = "x".repeat(256);
const UNREAD_CLIENTS = 200;
const UNREAD_ROWS = 7;
const UNREAD_ROW_BYTES = 1_000_000;
const SAMPLE_EVERY_MS = 20;

const FOREVER = "setInterval(() => {}, 1e9);";
const FLOORS = {
  "a bare Node": FOREVER,
  "a bare Node with an idle thread": `new (require("worker_threads").Worker)("${FOREVER}", { eval: true });`,
};

const floors = Object.entries(FLOORS).map(([name, code]) => ({
  name,
  child: spawn(process.execPath, ["--eval", code], { stdio: "ignore" }),
}));
const cluster = await TestCluster.start(3);
try {
  await idle("after the start");
  for (const { name, child } of floors) print(name, pidOf(child));
  await load();
  await idle("after a load");
  await leaveUnread(await cluster.untilLed());
} finally {
  for (const { child } of floors) child.kill();
  await cluster.end();
}

async function idle(when: string): Promise<void> {
  const pids = cluster.agents.map(pidOf);
  const before = pids.map(cpuMsOf);
  await delay(IDLE_SECONDS * 1_000);
  for (const [nth, pid] of pids.entries()) {
    const cpu = (cpuMsOf(pid) - (before[nth] ?? 0)) / (IDLE_SECONDS * 10);
    print(`agent ${nth + 1}, idle for ${IDLE_SECONDS} s ${when}, ${cpu.toFixed(2)} % of a core`, pid);
  }
}

/** Writes and reads at all three. */
async function load(): Promise<void> {
  const [first] = cluster.agents;
  await first?.execute(["CREATE TABLE row (id INTEGER PRIMARY KEY, content TEXT)"]);
  const endMs = performance.now() + LOAD_SECONDS * 1_000;
  let answered = 0;
  const client = async (agent: AgentProcess): Promise<void> => {
    while (performance.now() < endMs) {
      const answers = [
        await agent.execute([["INSERT INTO row (content) VALUES (?)", ROW]]),
        await agent.query("SELECT max(id) FROM row", "linearizable"),
      ];
      answered += answers.filter(({ status }) => status === 200).length;
    }
  };
  await Promise.all(cluster.agents.flatMap((agent) => Array.from({ length: CLIENTS }, () => client(agent))));
  console.log(
    `load: ${(answered / LOAD_SECONDS).toFixed(0)} requests answered a second, for ${LOAD_SECONDS} s`,
  );
}

/** Clients that ask for an answer of 7 MB and read no more than its first line. */
async function leaveUnread(agent: AgentProcess): Promise<void> {
  const fill =
    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO large SELECT printf('%.*c', ?, 'x') FROM n";
  await agent.execute(["CREATE TABLE large (content TEXT)"]);
  await agent.execute([[fill, UNREAD_ROWS, UNREAD_ROW_BYTES]]);
  const [[rows] = []] = await agent.rows("SELECT count(*) FROM large");
  if (rows !== UNREAD_ROWS) throw new Error(`There are ${rows} rows to be asked for.`);
  const pid = pidOf(agent);
  let peak = memoryOf(pid).rss;
  const sampling = setInterval(() => {
    peak = Math.max(peak, memoryOf(pid).rss);
  }, SAMPLE_EVERY_MS);
  const { port } = new URL(agent.url);
  const clients = await Promise.all(Array.from({ length: UNREAD_CLIENTS }, () => ask(Number(port))));
  clearInterval(sampling);
  const answered = clients.filter(({ status }) => status === 200).length;
  console.log(
    `${UNREAD_CLIENTS} clients do not read 7 MB each: ${answered} get it, the others an error; at most ${peak.toFixed(0)} MiB RSS`,
  );
  for (const { socket } of clients) socket.destroy();
}

function ask(port: number): Promise<{ readonly socket: Socket; readonly status: number }> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /db/query?timeout=60s&q=SELECT+*+FROM+large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // Node reads the first 64 KiB ahead, and no more.
    socket.once("readable", () => resolve({ socket, status: Number(String(socket.read(12)).slice(9)) }));
    socket.once("error", reject);
  });
}

function pidOf(process: ChildProcess | AgentProcess): number {
  if (process.pid === undefined) throw new Error("A process of the benchmark has ended.");
  return process.pid;
}

function print(what: string, pid: number): void {
  const { rss, pss, own } = memoryOf(pid);
  const figures = [`RSS ${rss.toFixed(1)}`, `PSS ${pss.toFixed(1)}`, `own ${own.toFixed(1)} MiB`];
  console.log([what.padEnd(62), ...figures].join("  "));
}
