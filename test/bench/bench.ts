import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { AgentProcess } from "../cluster/agent-process.ts";
import { TestCluster } from "../cluster/test-cluster.ts";
import { cpuMsOf, memoryOf } from "./process-memory.ts";

/**
 * `npm run bench`: three real agents on loopback and one disk, this process as the client. Figures of one run can be
 * compared with one another; those of two runs only where the machine was equally quiet.
 */
const ROW = "x".repeat(256);
const CLIENTS = [1, 16, 64];
const SECONDS = 5;
const IDLE_SECONDS = 20;
const IDLE_SETTLE_MS = 3_000;

const connections = new Agent({ keepAlive: true, maxSockets: 128 });

const cluster = await TestCluster.start(3);
try {
  const leader = await cluster.untilLed();
  const follower = cluster.agents.find((agent) => agent !== leader) ?? leader;
  await leader.execute(["CREATE TABLE row (id INTEGER PRIMARY KEY, content TEXT)"]);
  const insert = JSON.stringify([["INSERT INTO row (content) VALUES (?)", ROW]]);
  const select = JSON.stringify([["SELECT content FROM row WHERE id = ?", 5]]);

  console.log(`memory at start: ${memories()}`);
  await measure("warm-up", leader, "/db/execute", insert, 16);
  for (const clients of CLIENTS)
    await measure("INSERT at the leader", leader, "/db/execute", insert, clients);
  for (const clients of CLIENTS)
    await measure("INSERT at a follower", follower, "/db/execute", insert, clients);
  for (const level of ["none", "weak", "linearizable"]) {
    for (const clients of CLIENTS) {
      await measure(`SELECT at the leader, ${level}`, leader, `/db/query?level=${level}`, select, clients);
    }
  }
  await measure("SELECT at a follower, linearizable", follower, "/db/query?level=linearizable", select, 64);
  console.log(`memory after load: ${memories()}`);

  // What was written last is committed by SQLite a second later.
  await delay(IDLE_SETTLE_MS);
  const before = cluster.agents.map(usageOf);
  await delay(IDLE_SECONDS * 1_000);
  const after = cluster.agents.map(usageOf);
  const idle = after.map(({ cpuMs, writtenBytes }, nth) => {
    const cpu = (cpuMs - (before[nth]?.cpuMs ?? 0)) / (IDLE_SECONDS * 10);
    return `${cpu.toFixed(2)} % of a core, ${writtenBytes - (before[nth]?.writtenBytes ?? 0)} bytes written`;
  });
  console.log(`idle for ${IDLE_SECONDS} s: ${idle.join("; ")}`);
} finally {
  connections.destroy();
  await cluster.end();
}

async function measure(
  what: string,
  agent: AgentProcess,
  path: string,
  body: string,
  clients: number,
): Promise<void> {
  const latenciesMs: number[] = [];
  const before = cluster.agents.map(usageOf);
  const endMs = performance.now() + SECONDS * 1_000;
  const client = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const startMs = performance.now();
      await post(agent, path, body);
      latenciesMs.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const after = cluster.agents.map(usageOf);
  latenciesMs.sort((a, b) => a - b);
  const count = latenciesMs.length;
  const at = (share: number): string => (latenciesMs[Math.floor(count * share)] ?? 0).toFixed(2);
  const written = after.reduce(
    (sum, { writtenBytes }, nth) => sum + writtenBytes - (before[nth]?.writtenBytes ?? 0),
    0,
  );
  const figures = [
    `${(count / SECONDS).toFixed(0)}/s`.padStart(8),
    `p50 ${at(0.5)} ms`.padStart(14),
    `p99 ${at(0.99)} ms`.padStart(15),
    path.startsWith("/db/execute")
      ? `${(written / count / 1024).toFixed(2)} KiB written each, all three`
      : "",
  ];
  console.log(`${what}, ${clients} clients`.padEnd(48), figures.join("  "));
}

/** Resolves once the answer is there; rejects if it is not a result. */
function post(agent: AgentProcess, path: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(`${agent.url}${path}`, { method: "POST", agent: connections }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200 && !text.includes('"error"')) resolve();
        else reject(new Error(`${response.statusCode}: ${text}`));
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Of the process, since it began: CPU time, and bytes given to the block layer or waiting to be (proc(5)). */
function usageOf({ pid }: AgentProcess): { readonly cpuMs: number; readonly writtenBytes: number } {
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  return { cpuMs: cpuMsOf(pid), writtenBytes: Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0) };
}

function memories(): string {
  return cluster.agents.map(({ pid }) => `${memoryOf(pid).rss.toFixed(0)} MiB`).join(", ");
}
