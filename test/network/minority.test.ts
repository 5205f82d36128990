import { t } from "tap";
import type { AgentProcess } from "../cluster/agent-process.ts";
import { until } from "../cluster/until.ts";
import { checkKept } from "./check-kept.ts";
import { RecordedClients } from "./recorded-clients.ts";
import { send } from "./sql-client.ts";
import { startVirtualCluster } from "./virtual-cluster.ts";
import { bothWays, VirtualNetwork } from "./virtual-network.ts";

const SIZE = 5;
/** `npm run test:network` asks for more. */
const ROUNDS = Number(process.env["TRIVET_NETWORK_ROUNDS"] ?? 1);
const SEED = Number(process.env["TRIVET_NETWORK_SEED"] ?? 1);
const DEADLINE_MS = 30_000;
/** Check-quorum looks every election timeout, and two may pass before one falls behind the cut. */
const STEP_DOWN_ELECTIONS = 3;
const WRITES = 5;
/** Never acknowledged by a minority, so that it is nowhere afterwards. */
const WRITE = { kind: "write", statements: ["UPDATE lists SET entries = 'minority'"] } as const;
const READ = { kind: "read", statements: ["SELECT * FROM kept"] } as const;

const obstacle = await VirtualNetwork.obstacle();

t.test(
  "a leader that a partition leaves with one follower of four steps down, and its side says so",
  { skip: obstacle ?? false, timeout: 120_000 + 60_000 * ROUNDS },
  async (t) => {
    const { network, cluster } = await startVirtualCluster(t, SIZE);
    const { agents } = cluster;
    const workload = await RecordedClients.start(cluster, { perAgent: 2, seed: SEED });
    t.teardown(() => workload.stop());

    for (let round = 0; round < ROUNDS; round++) {
      const leader = await cluster.untilLed();
      const { term, electionTimeoutMs } = (await leader.status()).raft;
      const companion = agents.find((agent) => agent !== leader);
      if (companion === undefined) throw new Error("five agents");
      const minority: readonly AgentProcess[] = [leader, companion];
      const majority = agents.filter((agent) => !minority.includes(agent));
      const cuts = minority.flatMap((one) =>
        majority.flatMap((other) => bothWays(agents.indexOf(one), agents.indexOf(other))),
      );
      await network.setFaults({ cuts });
      const cutMs = performance.now();
      const [downMs, nextMs] = await Promise.all([
        until("the old leader steps down", DEADLINE_MS, async () =>
          (await leader.status()).raft.role === "leader" ? null : performance.now(),
        ),
        workload.firstWriteAfter(cutMs, majority),
      ]);
      t.ok(
        downMs - cutMs < STEP_DOWN_ELECTIONS * electionTimeoutMs,
        `steps down after ${ms(downMs - cutMs)}, election timeout ${ms(electionTimeoutMs)}`,
      );
      for (const agent of minority) {
        await agent.untilStatus("knows no leader", ({ raft }) => raft.leader === null);
        for (const request of [WRITE, READ])
          t.strictSame(
            await send(agent, request),
            { kind: "refused", code: "no-leader" },
            `${agent.name}: a ${request.kind}`,
          );
        t.match(
          await agent.query("SELECT count(*) FROM kept"),
          { status: 200 },
          "its own copy is there to be read",
        );
        t.match(
          await agent.status(),
          { cluster: { health: /^no (leader|quorum): / }, raft: { term } },
          "pre-votes raise no term",
        );
      }
      await workload.writesThroughEach(majority, WRITES, cutMs);
      t.comment(
        `stepped down after ${ms(downMs - cutMs)}, next write of the majority after ${ms(nextMs - cutMs)}, ${WRITES} through each after ${ms(performance.now() - cutMs)}`,
      );
      await network.setFaults({});
      const healedMs = performance.now();
      await cluster.untilLed();
      await workload.writesThroughEach(agents, 1, healedMs);
      t.comment(`healed: writes through each after ${ms(performance.now() - healedMs)}`);
    }
    await checkKept(t, cluster, workload);
  },
);

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}
