import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MemberStatus } from "../../agent/membership/agent-status.ts";
import { requestHere } from "../cluster/agent-place.ts";
import { AgentProcess } from "../cluster/agent-process.ts";
import { freePorts } from "../cluster/free-ports.ts";
import { TestCluster } from "../cluster/test-cluster.ts";
import { until } from "../cluster/until.ts";
import type { Order, OrderAnswer } from "./member-orders.ts";

const CHILD = fileURLToPath(new URL("./member-child.js", import.meta.url));
const CLUSTER_ID = "5eed".repeat(8);
const DEADLINE_MS = 30_000;

/** Real processes whose members the test chooses: `size` of them, all but the last are voters, the last one is a learner. */
export class OrderedCluster {
  readonly cluster: TestCluster;
  readonly #orders: ReadonlyMap<AgentProcess, number>;

  static async start(size: number, args: readonly string[]): Promise<OrderedCluster> {
    const directory = await mkdtemp(join(tmpdir(), "trivet-test-"));
    const ports = await freePorts(3 * size);
    const portsOf = (nth: number): readonly number[] => ports.slice(3 * nth, 3 * nth + 3);
    const peers = Array.from({ length: size }, (_, nth) => ["--peer", `mqtt://127.0.0.1:${portsOf(nth)[1]}`]);
    const orders = new Map<AgentProcess, number>();
    for (let nth = 0; nth < size; nth++) {
      const [http = 0, mqtt = 0, order = 0] = portsOf(nth);
      const name = `n${nth + 1}`;
      const others = peers.filter((_, other) => other !== nth).flat();
      const agent = new AgentProcess({
        ...{ name, directory: join(directory, name), http, mqtt, program: [CHILD] },
        args: [...others, "--orders", String(order), ...args],
      });
      orders.set(agent, order);
    }
    const agents = [...orders.keys()];
    const started = TestCluster.startAll(directory, agents);
    // Nobody leads them before they were told whom to found a cluster with.
    const founded = found(agents, orders).catch((error: unknown) => {
      const lines = agents.map(({ name, lines }) => [name, ...lines.slice(-10)].join("\n"));
      throw new Error(`The cluster was not founded.\n${lines.join("\n\n")}`, { cause: error });
    });
    const [cluster, failure] = await Promise.all([
      started,
      founded.then(
        () => null,
        (error: unknown) => error,
      ),
    ]);
    if (failure !== null) {
      await cluster.end();
      throw failure;
    }
    return new OrderedCluster(cluster, orders);
  }

  private constructor(cluster: TestCluster, orders: ReadonlyMap<AgentProcess, number>) {
    this.cluster = cluster;
    this.#orders = orders;
  }

  get agents(): readonly AgentProcess[] {
    return this.cluster.agents;
  }

  /** Whoever leads, for those that still follow anybody: one that has left does not. */
  async leader(): Promise<AgentProcess> {
    return until("a leader", DEADLINE_MS, async () => {
      const statuses = await Promise.all(this.agents.map((agent) => agent.status().catch(() => null)));
      const terms = statuses.map((status) => (status?.raft.role === "leader" ? status.raft.term : 0));
      const newest = Math.max(...terms);
      return newest > 0 ? (this.agents[terms.indexOf(newest)] ?? null) : null;
    });
  }

  /** The members as the leader knows them, once no change is under way. */
  async settled(): Promise<readonly MemberStatus[]> {
    return until("no change is under way", DEADLINE_MS, async () => {
      const { members } = await (await this.leader()).status();
      return members.some(({ role }) => role === "outgoing") ? null : members;
    });
  }

  /** Resolves with `done` or the code of its refusal; rejects if the agent dies meanwhile. */
  change(leader: AgentProcess, voters: readonly string[], learners: readonly string[]): Promise<string> {
    return until("the voters have told of their copies", DEADLINE_MS, async () => {
      const code = await give(this.#orders, leader, { kind: "change", voters, learners });
      return code === "no-copy" ? null : code;
    });
  }

  /** Ends the agent's member with its data: it runs again, with nothing, as a member that is none yet. Resolves with its id. */
  async replace(agent: AgentProcess): Promise<string> {
    if (agent.isRunning) await agent.kill();
    await rm(agent.directory, { recursive: true });
    agent.start();
    await give(this.#orders, agent, { kind: "join", clusterId: CLUSTER_ID });
    return memberIdOf(agent);
  }
}

export async function memberIdOf(agent: AgentProcess): Promise<string> {
  return (await agent.untilStatus("runs", () => true)).node.memberId;
}

async function found(
  agents: readonly AgentProcess[],
  orders: ReadonlyMap<AgentProcess, number>,
): Promise<void> {
  // `startAll` starts them.
  await until("all run", DEADLINE_MS, async () => (agents.every(({ isRunning }) => isRunning) ? true : null));
  const members = await Promise.all(agents.map(memberIdOf));
  const [founder, ...others] = agents;
  if (founder === undefined) return;
  const voters = members.slice(0, -1);
  await give(orders, founder, { kind: "found", clusterId: CLUSTER_ID, voters });
  for (const agent of others) await give(orders, agent, { kind: "join", clusterId: CLUSTER_ID });
  await until("the last one is a learner", DEADLINE_MS, async () => {
    for (const agent of agents) {
      const code = await give(orders, agent, { kind: "change", voters, learners: members.slice(-1) });
      if (code === "done") return true;
    }
    return null;
  });
}

/** The agent may be starting: tries again while nobody listens. */
function give(orders: ReadonlyMap<AgentProcess, number>, agent: AgentProcess, order: Order): Promise<string> {
  const url = `http://127.0.0.1:${orders.get(agent)}/`;
  return until(`${agent.name} takes an order`, DEADLINE_MS, async () => {
    const request = { method: "POST", body: JSON.stringify(order), deadlineMs: DEADLINE_MS } as const;
    try {
      return (JSON.parse((await requestHere(url, request)).body) as OrderAnswer).code;
    } catch (error) {
      if (isRefused(error) && agent.isRunning) return null;
      throw error;
    }
  });
}

function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
}
