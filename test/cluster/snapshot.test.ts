import { t } from "tap";
import type { AgentProcess } from "./agent-process.ts";
import { checkKept, createKept, startWriters, stopWriters } from "./kept-rows.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";

const RETAIN_BYTES = 64 * 1024;
/** So much that a snapshot takes many pieces: the kills fall into its middle. Each row is more than the log retains. */
const BALLAST_ROWS = 24;
const BALLAST_BYTES = 400_000;

t.test(
  "a member that was down for long gets a snapshot while writes go on, whoever is killed meanwhile",
  { timeout: 240_000 },
  async (t) => {
    const cluster = await TestCluster.start(3, ["--log-retain", String(RETAIN_BYTES)]);
    t.teardown(() => cluster.end());
    const [first] = cluster.agents;
    await createKept(cluster);
    await first?.execute(["CREATE TABLE ballast (id INTEGER PRIMARY KEY, body)"]);

    const leader = await cluster.untilLed();
    const away = cluster.agents.find((agent) => agent !== leader);
    if (away === undefined) throw new Error("a follower");
    const behind = (await away.status()).raft.lastIndex;
    await away.kill();
    for (let row = 0; row < BALLAST_ROWS; row++)
      await leader.execute([["INSERT INTO ballast VALUES (?, ?)", row, `${row} `.repeat(BALLAST_BYTES / 3)]]);
    const writers = startWriters(cluster.agents.filter((agent) => agent !== away));
    t.teardown(() => stopWriters(writers));
    await leader.untilStatus("the log begins behind what the others have", ({ raft }) => {
      return raft.firstIndex > behind + 1;
    });

    // The receiver dies in the middle, twice.
    for (let kill = 0; kill < 2; kill++) {
      away.start();
      await untilReceiving(away);
      await away.kill();
    }
    // Then its source, which leads.
    away.start();
    await untilReceiving(away);
    const source = await leaderAmong(cluster.agents.filter((agent) => agent !== away));
    await source.kill();
    // Only once it has a copy is there a majority that can commit.
    await away.untilStatus("the copy is there", ({ raft }) => {
      return raft.copyFault === null && raft.snapshot === null && raft.appliedIndex > behind;
    });
    source.start();
    await cluster.untilLed();

    const bytes = await Promise.all(
      cluster.agents.map(async (agent) => (await agent.status()).raft.logBytes),
    );
    await stopWriters(writers);
    const statuses = await cluster.untilEqual();
    for (const { raft } of statuses) t.ok(raft.firstIndex > behind, `a log begins at ${raft.firstIndex}`);
    // A transaction may come on top before the next checkpoint has made room.
    t.ok(Math.max(...bytes) < 4 * RETAIN_BYTES, `the logs take ${bytes} bytes`);

    const contents = await Promise.all(cluster.agents.map(contentOf));
    t.equal(new Set(contents).size, 1, "the copies are the same");
    await checkKept(t, cluster.agents, writers);
    const acknowledged = writers.reduce((sum, writer) => sum + writer.acknowledged.length, 0);
    t.ok(acknowledged > 20, `${acknowledged} rows were written meanwhile`);
    t.strictSame([...cluster.termsWithSeveralLeaders()], [], "no term had two leaders");
  },
);

/** In the middle: something has come, not all of it. */
async function untilReceiving(agent: AgentProcess): Promise<void> {
  await agent.untilStatus("a snapshot is on its way", ({ raft: { snapshot } }) => {
    return snapshot !== null && snapshot.receivedBytes > 0 && snapshot.receivedBytes < snapshot.totalBytes;
  });
}

function leaderAmong(agents: readonly AgentProcess[]): Promise<AgentProcess> {
  return until("a leader", 30_000, async () => {
    for (const agent of agents) {
      const status = await agent.status().catch(() => null);
      if (status?.raft.role === "leader") return agent;
    }
    return null;
  });
}

async function contentOf(agent: AgentProcess): Promise<string> {
  const ballast = await agent.rows("SELECT id, length(body), substr(body, 1, 16) FROM ballast ORDER BY id");
  const rows = await agent.rows("SELECT id, writer FROM kept ORDER BY id");
  return JSON.stringify([ballast, rows]);
}
