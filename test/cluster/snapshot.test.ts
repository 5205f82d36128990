import { t } from "tap";
import type { AgentProcess } from "./agent-process.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";
import { Writer } from "./writer.ts";

const RETAIN_BYTES = 64 * 1024;
/** Ids of one writer never meet those of another. */
const IDS_PER_WRITER = 10_000_000;
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
    await first?.execute(["CREATE TABLE kept (id INTEGER NOT NULL, writer TEXT NOT NULL)"]);
    await first?.execute(["CREATE TABLE ballast (id INTEGER PRIMARY KEY, body)"]);

    const leader = await cluster.untilLed();
    const away = cluster.agents.find((agent) => agent !== leader);
    if (away === undefined) throw new Error("a follower");
    const behind = (await away.status()).raft.lastIndex;
    await away.kill();
    for (let row = 0; row < BALLAST_ROWS; row++)
      await leader.execute([["INSERT INTO ballast VALUES (?, ?)", row, `${row} `.repeat(BALLAST_BYTES / 3)]]);
    const writers = cluster.agents
      .filter((agent) => agent !== away)
      .map((agent, nth) => new Writer(agent, nth * IDS_PER_WRITER + 1));
    t.teardown(() => Promise.all(writers.map((writer) => writer.stop())));
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
    await Promise.all(writers.map((writer) => writer.stop()));
    const statuses = await cluster.untilEqual();
    for (const { raft } of statuses) t.ok(raft.firstIndex > behind, `a log begins at ${raft.firstIndex}`);
    // A transaction may come on top before the next checkpoint has made room.
    t.ok(Math.max(...bytes) < 4 * RETAIN_BYTES, `the logs take ${bytes} bytes`);

    const contents = await Promise.all(cluster.agents.map(contentOf));
    t.equal(new Set(contents).size, 1, "the copies are the same");
    const kept = new Set((await away.rows("SELECT id FROM kept")).map(([id]) => Number(id)));
    const lost = writers.flatMap((writer) => writer.acknowledged).filter(({ id }) => !kept.has(id));
    t.strictSame(lost, [], "every acknowledged row is there");
    t.ok(kept.size > 20, `${kept.size} rows were written meanwhile`);
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
