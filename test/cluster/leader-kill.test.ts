import { t } from "tap";
import { checkKept, createKept, startWriters, stopWriters } from "./kept-rows.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";

const KILLS = 20;

t.test(
  "a leader killed in the middle of writes loses nothing that was acknowledged",
  { timeout: 300_000 },
  async (t) => {
    const cluster = await TestCluster.start(3);
    t.teardown(() => cluster.end());
    await createKept(cluster);
    const writers = startWriters(cluster.agents);
    const failoverMs: number[] = [];

    for (let kill = 0; kill < KILLS; kill++) {
      const leader = await cluster.untilLed();
      const killedMs = performance.now();
      leader.signal("SIGKILL");
      const survivors = writers.filter((writer) => writer.agent !== leader);
      const next = await until("a write through a survivor", 30_000, async () => {
        const acknowledged = survivors.map(
          (writer) => writer.firstSentAfter(killedMs)?.acknowledgedMs ?? Infinity,
        );
        return Math.min(...acknowledged) < Infinity ? Math.min(...acknowledged) : null;
      });
      failoverMs.push(next - killedMs);
      await leader.exited();
      leader.start();
      await cluster.untilLed();
    }
    await stopWriters(writers);
    await cluster.untilEqual();

    failoverMs.sort((a, b) => a - b);
    const [median, worst] = [failoverMs[KILLS / 2] ?? 0, failoverMs.at(-1) ?? 0];
    t.comment(
      `kill -9 of the leader to the next acknowledged write: median ${median.toFixed(0)} ms, worst of ${KILLS} ${worst.toFixed(0)} ms`,
    );
    for (const { agent, acknowledged, failures } of writers) {
      t.comment(
        `${agent.name}: ${acknowledged.length} acknowledged, failures ${JSON.stringify([...failures])}`,
      );
    }

    const copies = await Promise.all(
      cluster.agents.map((agent) => agent.rows("SELECT id, writer FROM kept ORDER BY id")),
    );
    for (const copy of copies.slice(1)) t.strictSame(copy, copies[0], "the nodes hold the same rows");
    const ids = (copies[0] ?? []).map(([id]) => Number(id));
    await checkKept(t, cluster.agents, writers);
    const acknowledged = writers.reduce((sum, writer) => sum + writer.acknowledged.length, 0);
    t.ok(acknowledged > KILLS * 10, `${acknowledged} writes were acknowledged`);
    const strangers = ids.filter((id) => !writers.some((writer) => writer.hasSent(id)));
    t.strictSame(strangers, [], "nothing is there that was not sent");
    t.strictSame([...cluster.termsWithSeveralLeaders()], [], "no term had two leaders");

    // All at once, too.
    await Promise.all(cluster.agents.map((agent) => agent.kill()));
    for (const agent of cluster.agents) agent.start();
    await cluster.untilLed();
    await cluster.untilEqual();
    for (const agent of cluster.agents) {
      const rows = await agent.rows("SELECT id, writer FROM kept ORDER BY id");
      t.strictSame(rows, copies[0], `${agent.name} has every row after all were killed at once`);
    }
  },
);

t.test("all killed at once, in the middle of writes", { timeout: 120_000 }, async (t) => {
  const cluster = await TestCluster.start(3);
  t.teardown(() => cluster.end());
  await createKept(cluster);
  const writers = startWriters(cluster.agents);
  for (let round = 0; round < 3; round++) {
    const before = writers.map((writer) => writer.acknowledged.length);
    await until("fifty more writes through each node", 30_000, async () =>
      writers.every((writer, nth) => writer.acknowledged.length >= (before[nth] ?? 0) + 50) ? true : null,
    );
    for (const agent of cluster.agents) agent.signal("SIGKILL");
    await Promise.all(cluster.agents.map((agent) => agent.exited()));
    for (const agent of cluster.agents) agent.start();
    await cluster.untilLed();
  }
  await stopWriters(writers);
  await cluster.untilEqual();
  await checkKept(t, cluster.agents, writers);
});

t.test(
  "a leader that is frozen, with its sockets open, is replaced; thawed, it follows",
  { timeout: 120_000 },
  async (t) => {
    const cluster = await TestCluster.start(3);
    t.teardown(() => cluster.end());
    await createKept(cluster);
    const frozen = await cluster.untilLed();
    const survivors = cluster.agents.filter((agent) => agent !== frozen);
    const writers = startWriters(survivors);
    await until("a write through each survivor", 30_000, async () =>
      writers.every((writer) => writer.acknowledged.length > 0) ? true : null,
    );
    const frozenMs = performance.now();
    frozen.signal("SIGSTOP");
    for (const writer of writers) {
      const next = await until("a write through a survivor", 30_000, async () =>
        writer.firstSentAfter(frozenMs),
      );
      t.comment(
        `SIGSTOP of the leader to the next acknowledged write: ${(next.acknowledgedMs - frozenMs).toFixed(0)} ms`,
      );
    }
    frozen.signal("SIGCONT");
    await cluster.untilLed();
    await stopWriters(writers);
    await cluster.untilEqual();
    await checkKept(t, cluster.agents, writers);
    t.strictSame([...cluster.termsWithSeveralLeaders()], [], "no term had two leaders");
  },
);
