import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { AgentProcess } from "../cluster/agent-process.ts";
import { TestCluster } from "../cluster/test-cluster.ts";
import { HostClient } from "./host-client.ts";
import { VirtualNetwork } from "./virtual-network.ts";

const HTTP_PORT = 4001;
const MQTT_PORT = 1883;

/** Agents on hosts of their own, in the order of the hosts. */
export interface VirtualCluster {
  readonly network: VirtualNetwork;
  readonly cluster: TestCluster;
}

/** Starts an agent on each of `size` hosts; resolves when they are a cluster with a leader. All of it goes with the test. */
export async function startVirtualCluster(
  t: Test,
  size: number,
  extraArgs: readonly string[] = [],
): Promise<VirtualCluster> {
  const network = await VirtualNetwork.create(size);
  t.teardown(() => network.remove());
  const clients = network.hosts.map((host) => new HostClient(host));
  t.teardown(() => Promise.all(clients.map((client) => client.end())));
  const directory = await mkdtemp(join(tmpdir(), "trivet-test-"));
  const agents = clients.map((place, nth) => {
    const name = `n${nth + 1}`;
    const peers = network.hosts
      .filter((_, other) => other !== nth)
      .flatMap(({ address }) => ["--peer", `mqtt://${address}:${MQTT_PORT}`]);
    const args = ["--bootstrap-expect", String(size), ...peers, ...extraArgs];
    return new AgentProcess({
      name,
      directory: join(directory, name),
      http: HTTP_PORT,
      mqtt: MQTT_PORT,
      place,
      args,
    });
  });
  const cluster = await TestCluster.startAll(directory, agents);
  t.teardown(() => cluster.end());
  return { network, cluster };
}
