import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { type Test, t } from "tap";
import type { AgentProcess } from "./agent-process.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";
import { Volume } from "./volume.ts";

const MIB = 1024 * 1024;
const WATERMARK = 12 * MIB;
/** Below the watermark, above the quarter of it that is kept back. */
const LOW = 7 * MIB;
const VOLUME_MIB = 64;
const DEADLINE_MS = 30_000;

/** Why there can be no such test here; false if there can. */
const skip = await Volume.whyNot();

/** Three agents, the first `small` of them each on a file system of its own. */
async function start(
  t: Test,
  small: number,
): Promise<{ readonly cluster: TestCluster; readonly volumes: readonly Volume[] }> {
  const volumes: Volume[] = [];
  let cluster: TestCluster | null = null;
  t.teardown(async () => {
    // What the agents said tells more than what was expected of them.
    if (!t.passing())
      for (const { name, lines } of cluster?.agents ?? []) t.comment(name, ...lines.slice(-25));
    await cluster?.end();
    for (const volume of volumes) await volume.end();
  });
  for (let nth = 0; nth < small; nth++) volumes.push(await Volume.create(VOLUME_MIB));
  cluster = await TestCluster.start(3, ["--disk-watermark", String(WATERMARK)], async (directory) => {
    for (const [nth, volume] of volumes.entries()) await symlink(volume.path, join(directory, `n${nth + 1}`));
  });
  await cluster.agents[0]?.execute(["CREATE TABLE kept (id INTEGER NOT NULL)"]);
  return { cluster, volumes };
}

let lastId = 0;

/** Through `agent`, until it is taken. */
function write(agent: AgentProcess): Promise<true> {
  return until(`a write through ${agent.name}`, DEADLINE_MS, async () => {
    lastId += 1;
    const answer = await agent.execute([["INSERT INTO kept VALUES (?)", lastId]]);
    return answer.status === 200 ? true : null;
  });
}

async function idsOf(agent: AgentProcess): Promise<string> {
  return (await agent.rows("SELECT id FROM kept ORDER BY id")).join();
}

const troubles = (pattern: RegExp) => (status: { readonly node: { readonly troubles: readonly string[] } }) =>
  status.node.troubles.some((trouble) => pattern.test(trouble));
const hasNoTrouble = (status: { readonly node: { readonly troubles: readonly string[] } }): boolean =>
  status.node.troubles.length === 0;

t.test("one of three disks fills up", { timeout: 120_000, skip }, async (t) => {
  const { cluster, volumes } = await start(t, 1);
  const [small, second, third] = cluster.agents;
  const [volume] = volumes;
  if (!small || !second || !third || !volume) throw new Error("three agents and a volume");

  // Let the small one lead. Who comes back is soon as good a successor as the small one is: so the others are away together.
  for (let leader = await cluster.untilLed(); leader !== small; leader = await cluster.untilLed()) {
    await leader.stop();
    const next = await cluster.untilLed();
    const away = next === small ? [leader] : [leader, next];
    if (next !== small) await next.stop();
    for (const agent of away) agent.start();
  }
  await volume.fill(LOW);
  await small.untilStatus("says that it is short of space", troubles(/give|Free space/));
  await until("another one leads", DEADLINE_MS, async () => {
    const { raft } = await second.status();
    return raft.leader !== null && raft.leader.name !== small.name ? true : null;
  });
  await second.untilStatus("hears of it", ({ cluster }) => /n1 is short of disk space/.test(cluster.health));
  for (const agent of cluster.agents) await write(agent);
  await cluster.untilEqual();
  t.equal(await idsOf(small), await idsOf(third), "it follows on while there is a reserve");

  await volume.fill(0);
  await small.untilStatus("says that its disk is full", troubles(/stores nothing more/));
  for (let count = 0; count < 30; count++) await write(second);
  t.ok(small.isRunning, "a full disk does not end the agent");

  // Nor does it keep one from coming back after a power cut, once there is room.
  await small.kill();
  await volume.fill(0);
  small.start();
  await until("it says why it waits", DEADLINE_MS, async () =>
    small.lines.some((line) => /disk is full: the agent starts once there is room/.test(line)) ? true : null,
  );
  t.ok(small.isRunning);
  for (let count = 0; count < 3; count++) await write(second);

  await volume.empty();
  await small.untilStatus("has room again", hasNoTrouble);
  await cluster.untilEqual();
  t.equal(await idsOf(small), await idsOf(third), "it has all that it missed");
});

t.test("all three disks fill up", { timeout: 120_000, skip }, async (t) => {
  const { cluster, volumes } = await start(t, 3);
  const [first] = cluster.agents;
  if (!first) throw new Error("three agents");
  await write(first);
  for (const leftBytes of [LOW, 0]) {
    await Promise.all(volumes.map((volume) => volume.fill(leftBytes)));
    for (const agent of cluster.agents) await agent.untilStatus("is short of space", troubles(/Free space/));
    for (const agent of cluster.agents) {
      const refused = await until("a refusal", DEADLINE_MS, async () => {
        const answer = await agent.execute([["INSERT INTO kept VALUES (?)", -1]]);
        return answer.status === 200 || answer.code === "no-leader" ? null : answer;
      });
      t.match(refused, { status: 507, code: "disk-full", error: /Nothing was done.*Free space/s });
      // Without any room, a database that was at work waits for some.
      if (leftBytes === 0) continue;
      t.match(await agent.query("SELECT count(*) FROM kept", "linearizable"), { status: 200 });
    }
  }
  t.ok(cluster.agents.every((agent) => agent.isRunning));

  await Promise.all(volumes.map((volume) => volume.empty()));
  for (const agent of cluster.agents) await write(agent);
  await cluster.untilEqual();
  const copies = await Promise.all(cluster.agents.map(idsOf));
  for (const copy of copies.slice(1)) t.equal(copy, copies[0]);
  for (const agent of cluster.agents) await agent.untilStatus("has no trouble", hasNoTrouble);
});
