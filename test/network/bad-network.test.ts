import { t } from "tap";
import type { AgentStatus } from "../../agent/membership/agent-status.ts";
import { checkKept } from "./check-kept.ts";
import { RecordedClients } from "./recorded-clients.ts";
import { untilServed } from "./until-served.ts";
import { startVirtualCluster } from "./virtual-cluster.ts";
import { bothWays, type Faults, VirtualNetwork } from "./virtual-network.ts";

const SIZE = 3;
/** `npm run test:network` asks for more. */
const LONG_ROUNDS = Number(process.env["TRIVET_NETWORK_ROUNDS"] ?? 0);
const SEED = Number(process.env["TRIVET_NETWORK_SEED"] ?? 1);
/** A fault lasts until so many writes have been acknowledged through each node that a quorum can reach. */
const WRITES_PER_FAULT = 10;
/** Design 9: a leader cut off by dropped packets; with the election timeout that is configured. A slow machine raises that by itself. */
const CUT_OFF_MS_GOAL = 3_000;
const ELECTION_MS = 900;
/** Two nodes that do not hear one another go round by the third within two election timeouts. */
const DETOUR_MS_GOAL = 2 * ELECTION_MS;
const CREATE_PULSE = "CREATE TABLE pulse (beat INTEGER)";
const BEAT = "INSERT INTO pulse VALUES (1)";

interface Trouble {
  readonly name: string;
  /** Hosts are numbered. */
  readonly faults: (leader: number, followers: readonly [number, number]) => Faults;
  /** The leader cannot keep a quorum: another one has to take its place. */
  readonly isLeaderOut: boolean;
  /** Left to the long form. */
  readonly isLong?: true;
}

const TROUBLES: readonly Trouble[] = [
  { name: "20 % of all packets lost", faults: () => ({ lossPercent: 20 }), isLeaderOut: false },
  {
    name: "a follower does not hear the leader",
    faults: (leader, [follower]) => ({ cuts: [[leader, follower]] }),
    isLeaderOut: false,
  },
  {
    name: "the leader does not hear a follower",
    faults: (leader, [follower]) => ({ cuts: [[follower, leader]] }),
    isLeaderOut: false,
    isLong: true,
  },
  {
    name: "leader and one follower are cut off from one another, the other one sees both",
    faults: (leader, [follower]) => ({ cuts: bothWays(leader, follower) }),
    isLeaderOut: false,
    isLong: true,
  },
  {
    name: "the followers are cut off from one another",
    faults: (_, [one, other]) => ({ cuts: bothWays(one, other) }),
    isLeaderOut: false,
    isLong: true,
  },
  {
    name: "the leader is heard by nobody",
    faults: (leader, followers) => ({ cuts: followers.map((follower) => [leader, follower]) }),
    isLeaderOut: true,
    isLong: true,
  },
  {
    name: "the leader hears nobody",
    faults: (leader, followers) => ({ cuts: followers.map((follower) => [follower, leader]) }),
    isLeaderOut: true,
  },
  {
    name: "the leader is cut off",
    faults: (leader, followers) => ({ cuts: followers.flatMap((follower) => bothWays(leader, follower)) }),
    isLeaderOut: true,
  },
];

const obstacle = await VirtualNetwork.obstacle();

t.test(
  "three agents on a network that loses packets and cuts links stay linearizable",
  { skip: obstacle ?? false, timeout: 180_000 + 240_000 * LONG_ROUNDS },
  async (t) => {
    const { network, cluster } = await startVirtualCluster(t, SIZE);
    const { agents } = cluster;
    const workload = await RecordedClients.start(cluster, { perAgent: 3, seed: SEED });
    t.teardown(() => workload.stop());

    await agents[0]?.execute([CREATE_PULSE]);
    const cutOffMs: number[] = [];
    const detourMs: number[] = [];
    const plan = Array.from({ length: LONG_ROUNDS }, () => TROUBLES).flat();
    for (const trouble of plan.length > 0 ? plan : TROUBLES.filter(({ isLong }) => isLong !== true)) {
      const leader = agents.indexOf(await cluster.untilLed());
      const [one = 0, other = 0] = agents.map((_, nth) => nth).filter((nth) => nth !== leader);
      const reached = trouble.isLeaderOut ? agents.filter((_, nth) => nth !== leader) : agents;
      const statuses = await Promise.all(reached.map((agent) => agent.status()));
      const electionMs = Math.max(...statuses.map(({ raft }) => raft.electionTimeoutMs));
      const faults = trouble.faults(leader, [one, other]);
      await network.setFaults(faults);
      const startMs = performance.now();
      const served = await Promise.all(reached.map((agent) => untilServed(agent, BEAT)));
      const servedMs = Math.max(...served) - startMs;
      const nextMs = (await workload.firstWriteAfter(startMs, reached)) - startMs;
      await workload.writesThroughEach(reached, WRITES_PER_FAULT, startMs);
      const heldMs = performance.now() - startMs;
      await network.setFaults({});
      const healedMs = performance.now();
      await cluster.untilLed();
      const ledMs = performance.now() - healedMs;
      await Promise.all(agents.map((agent) => agent.untilStatus("all links up", isLinked)));
      const linkedMs = performance.now() - healedMs;
      if (trouble.isLeaderOut) cutOffMs.push((nextMs * ELECTION_MS) / electionMs);
      else if (faults.cuts !== undefined) detourMs.push((servedMs * ELECTION_MS) / electionMs);
      t.comment(
        `${trouble.name}: next write acknowledged after ${ms(nextMs)}, one through each after ${ms(servedMs)} (election timeout ${ms(electionMs)}), ${WRITES_PER_FAULT} through each of ${reached.length} nodes after ${ms(heldMs)}; ` +
          `healed, one leader for all after ${ms(ledMs)}, all links up after ${ms(linkedMs)}`,
      );
    }
    await checkKept(t, cluster, workload);
    for (const { what, timesMs, goalMs } of [
      { what: "a leader that is cut off is replaced", timesMs: cutOffMs, goalMs: CUT_OFF_MS_GOAL },
      { what: "a half-dead link is gone round", timesMs: detourMs, goalMs: DETOUR_MS_GOAL },
    ]) {
      timesMs.sort((a, b) => a - b);
      const [median = Infinity, worst = Infinity] = [
        timesMs[Math.floor((timesMs.length - 1) / 2)],
        timesMs.at(-1),
      ];
      const figures = `median of ${timesMs.length} ${ms(median)}, worst ${ms(worst)}`;
      t.ok(median < goalMs, `${what}: with an election timeout of ${ELECTION_MS} ms, ${figures}`);
    }
  },
);

/** A node is linked to the brokers of all others. */
function isLinked({ links }: AgentStatus): boolean {
  return links.filter(({ up }) => up).length === SIZE - 1;
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}
