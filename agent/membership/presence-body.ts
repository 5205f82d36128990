import type { PresenceBody } from "../bus/presence.ts";
import type { AgentStatus } from "./agent-status.ts";

/** What the others are told of this node. */
export function presenceOf({ version, node, cluster, raft }: AgentStatus): PresenceBody {
  return {
    name: node.name,
    version,
    memberId: node.memberId,
    clusterId: cluster.id,
    api: node.api,
    broker: node.broker,
    role: raft.role === "waiting" ? "spare" : raft.role === "learner" ? "standby" : "voter",
    raft: { term: raft.term, commit: raft.commitIndex, leader: raft.leader?.nodeId ?? null },
  };
}
