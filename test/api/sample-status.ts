import type { AgentStatus } from "../../agent/membership/agent-status.ts";

/** A healthy node of a cluster of three. */
export function sampleStatus(): AgentStatus {
  return {
    version: "0.1.0",
    node: {
      id: "a1",
      name: "shop-1",
      memberId: "m1",
      uptimeMs: 65_000,
      api: null,
      broker: null,
      troubles: [],
    },
    cluster: {
      name: "trivet",
      id: "c1",
      health: "HA: yes, 3 of 3 voters, tolerates 1 more failure",
      voters: 3,
      votersReachable: 3,
      failuresTolerated: 1,
    },
    raft: {
      role: "leader",
      term: 3,
      leader: { nodeId: "a1", name: "shop-1", api: null },
      firstIndex: 1,
      lastIndex: 12,
      logBytes: 800,
      commitIndex: 12,
      appliedIndex: 11,
      isStuck: false,
      heartbeatMs: 150,
      electionTimeoutMs: 900,
      snapshot: null,
      copyFault: null,
      copyDamage: null,
    },
    members: [
      {
        nodeId: "a1",
        memberId: "m1",
        name: "shop-1",
        role: "voter",
        reachable: true,
        api: null,
        replication: null,
      },
    ],
    links: [
      { url: "mqtt://127.0.0.1:18831", nodeId: "a1", up: true, reason: "" },
      { url: "mqtt://127.0.0.1:18832", nodeId: null, up: false, reason: "connection refused" },
    ],
  };
}
