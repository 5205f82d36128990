import type { Test } from "tap";
import type { AgentProcess } from "./agent-process.ts";
import type { TestCluster } from "./test-cluster.ts";
import { Writer } from "./writer.ts";

/** Ids of one writer never meet those of another. */
const IDS_PER_WRITER = 10_000_000;

/** The table that `Writer` writes to. Without a key: a row that was applied twice must show. */
export async function createKept({ agents }: TestCluster): Promise<void> {
  await agents[0]?.execute(["CREATE TABLE kept (id INTEGER NOT NULL, writer TEXT NOT NULL)"]);
}

/** A writer at each of them. To be stopped with `stopWriters`. */
export function startWriters(agents: readonly AgentProcess[]): readonly Writer[] {
  return agents.map((agent, nth) => new Writer(agent, nth * IDS_PER_WRITER + 1));
}

export async function stopWriters(writers: readonly Writer[]): Promise<void> {
  await Promise.all(writers.map((writer) => writer.stop()));
}

/** Each of `agents` holds every row that was acknowledged to one of `writers`, and no row twice. */
export async function checkKept(
  t: Test,
  agents: readonly AgentProcess[],
  writers: readonly Writer[],
): Promise<void> {
  const acknowledged = writers.flatMap((writer) => writer.acknowledged);
  for (const agent of agents) {
    const ids = (await agent.rows("SELECT id FROM kept")).map(([id]) => Number(id));
    const kept = new Set(ids);
    t.equal(kept.size, ids.length, `${agent.name}: no row is there twice`);
    const lost = acknowledged.filter(({ id }) => !kept.has(id));
    t.strictSame(lost, [], `${agent.name}: every acknowledged row is there`);
  }
}
