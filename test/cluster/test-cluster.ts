import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentStatus } from "../../agent/membership/agent-status.ts";
import { AgentProcess } from "./agent-process.ts";
import { freePorts } from "./free-ports.ts";
import { until } from "./until.ts";

const DEADLINE_MS = 30_000;

/** Several real agents on loopback that found one cluster together. */
export class TestCluster {
  readonly directory: string;
  readonly agents: readonly AgentProcess[];

  private constructor(directory: string, agents: readonly AgentProcess[]) {
    this.directory = directory;
    this.agents = agents;
  }

  /**
   * Starts `size` agents; resolves when they have a leader that all of them follow. `prepare` is given the directory before, in
   * which agent `n1` has its data in `n1`.
   */
  static async start(
    size: number,
    args: readonly string[] = [],
    prepare: (directory: string) => Promise<void> = async () => undefined,
  ): Promise<TestCluster> {
    const directory = await mkdtemp(join(tmpdir(), "trivet-test-"));
    await prepare(directory);
    const ports = await freePorts(2 * size);
    const mqttPorts = ports.slice(size);
    const agents = Array.from({ length: size }, (_, nth) => {
      const peers = mqttPorts.filter((_, other) => other !== nth).map((port) => `mqtt://127.0.0.1:${port}`);
      return new AgentProcess({
        name: `n${nth + 1}`,
        directory: join(directory, `n${nth + 1}`),
        http: ports[nth] ?? 0,
        mqtt: mqttPorts[nth] ?? 0,
        args: ["--bootstrap-expect", String(size), ...peers.flatMap((peer) => ["--peer", peer]), ...args],
      });
    });
    return TestCluster.startAll(directory, agents);
  }

  /** Starts these agents, which own `directory`; resolves when they have a leader that all of them follow. */
  static async startAll(directory: string, agents: readonly AgentProcess[]): Promise<TestCluster> {
    const cluster = new TestCluster(directory, agents);
    try {
      for (const agent of agents) agent.start();
      await cluster.untilLed();
      return cluster;
    } catch (error) {
      await cluster.end();
      const lines = agents.map(({ name, lines }) => [name, ...lines.slice(-20)].join("\n"));
      throw new Error(`The cluster did not start.\n${lines.join("\n\n")}`, { cause: error });
    }
  }

  /** Every running agent follows the same leader, which knows itself to be one. Resolves with it. */
  untilLed(): Promise<AgentProcess> {
    return until("one leader that all follow", DEADLINE_MS, async () => {
      const running = this.agents.filter((agent) => agent.isRunning);
      const statuses = await Promise.all(running.map((agent) => agent.status().catch(() => null)));
      const leaders = new Set(statuses.map((status) => status?.raft.leader?.nodeId ?? null));
      const nth = statuses.findIndex((status) => status?.raft.role === "leader");
      const [leader] = leaders;
      if (leaders.size !== 1 || leader === null || statuses[nth]?.node.id !== leader) return null;
      return running[nth] ?? null;
    });
  }

  /** Every running agent has applied all that any of them has in its log. */
  untilEqual(): Promise<readonly AgentStatus[]> {
    return until("equal applied indexes", DEADLINE_MS, async () => {
      const running = this.agents.filter((agent) => agent.isRunning);
      const statuses = await Promise.all(running.map((agent) => agent.status().catch(() => null)));
      const known = statuses.filter((status) => status !== null);
      const lastIndex = Math.max(...known.map((status) => status.raft.lastIndex));
      const isEqual = known.every((status) => status.raft.appliedIndex === lastIndex);
      return isEqual && known.length === running.length ? known : null;
    });
  }

  /** Terms in which more than one node called itself leader, with their names. Must be empty (Raft 5.2). */
  termsWithSeveralLeaders(): ReadonlyMap<string, ReadonlySet<string>> {
    const leaders = new Map<string, Set<string>>();
    for (const { name, lines } of this.agents) {
      for (const line of lines) {
        const [, term] = /Raft state changed\. role=leader term=(\d+)/.exec(line) ?? [];
        if (term !== undefined) leaders.set(term, (leaders.get(term) ?? new Set()).add(name));
      }
    }
    return new Map([...leaders].filter(([, names]) => names.size > 1));
  }

  /** Ends every process and removes the data. */
  async end(): Promise<void> {
    await Promise.all(this.agents.filter((agent) => agent.isRunning).map((agent) => agent.kill()));
    await rm(this.directory, { recursive: true, force: true });
  }
}
