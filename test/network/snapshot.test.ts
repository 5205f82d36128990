import { randomBytes } from "node:crypto";
import { t } from "tap";
import { until } from "../cluster/until.ts";
import { checkKept } from "./check-kept.ts";
import { RecordedClients } from "./recorded-clients.ts";
import { startVirtualCluster } from "./virtual-cluster.ts";
import { bothWays, VirtualNetwork } from "./virtual-network.ts";

const LOG_RETAIN_BYTES = 64 * 1024;
const ROW_BYTES = 16 * 1024;
const LOSS_PERCENT = 8;
/** So slow that the copy, of some 700 KB, takes seconds: else it is over before anyone has seen it on its way. */
const ARRIVING_KB_PER_SECOND = 150;
const DEADLINE_MS = 60_000;
const SEED = Number(process.env["TRIVET_NETWORK_SEED"] ?? 1);

const obstacle = await VirtualNetwork.obstacle();

t.test(
  "a follower that was away for longer than the log goes back gets a snapshot, though its source is cut off meanwhile",
  { skip: obstacle ?? false, timeout: 240_000 },
  async (t) => {
    const { network, cluster } = await startVirtualCluster(t, 3, ["--log-retain", String(LOG_RETAIN_BYTES)]);
    const { agents } = cluster;
    const workload = await RecordedClients.start(cluster, { perAgent: 2, seed: SEED });
    t.teardown(() => workload.stop());
    const leader = await cluster.untilLed();
    const [behind, third] = agents.filter((agent) => agent !== leader);
    if (behind === undefined || third === undefined) throw new Error("three agents");
    const [l, b, o] = [leader, behind, third].map((agent) => agents.indexOf(agent)) as [
      number,
      number,
      number,
    ];
    await leader.execute(["CREATE TABLE ballast (id INTEGER PRIMARY KEY, bytes TEXT)"]);

    await network.setFaults({ cuts: [...bothWays(b, l), ...bothWays(b, o)] });
    const { lastIndex } = (await behind.status()).raft;
    let rows = 0;
    await until("the leader's log begins behind the end of the follower's", DEADLINE_MS, async () => {
      const bytes = randomBytes(ROW_BYTES / 2).toString("hex");
      const answer = await leader.execute([["INSERT INTO ballast (bytes) VALUES (?)", bytes]]);
      if (answer.results?.[0]?.rows_affected === 1) rows++;
      const { firstIndex } = (await leader.status()).raft;
      return rows >= 40 && firstIndex > lastIndex + 1 ? true : null;
    });

    const healedMs = performance.now();
    const slow = { lossPercent: LOSS_PERCENT, arrivingKbPerSecond: ARRIVING_KB_PER_SECOND };
    await network.setFaults(slow);
    const { raft } = await behind.untilStatus("a snapshot on its way", ({ raft }) => raft.snapshot !== null);
    t.comment(
      `${raft.snapshot?.totalBytes} bytes on their way after ${(performance.now() - healedMs).toFixed(0)} ms`,
    );
    await network.setFaults({ ...slow, cuts: [...bothWays(l, b), ...bothWays(l, o)] });
    const cutMs = performance.now();
    const { snapshot } = (await behind.status()).raft;
    await workload.writesThroughEach([behind, third], 5, cutMs);
    t.comment(
      `its source cut off at ${snapshot?.receivedBytes ?? "all"} bytes; writes through the others after ${(performance.now() - cutMs).toFixed(0)} ms`,
    );

    await network.setFaults({});
    await cluster.untilLed();
    await checkKept(t, cluster, workload);
    const counts = await Promise.all(
      agents.map((agent) => agent.rows("SELECT count(*), sum(length(bytes)) FROM ballast")),
    );
    t.ok(Number(counts[0]?.[0]?.[0]) >= rows, "every acknowledged row is there");
    for (const count of counts.slice(1)) t.strictSame(count, counts[0], "on all of them");
  },
);
