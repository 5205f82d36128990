import type { PresenceBody } from "../bus/presence.ts";
import type { AgentStatus } from "./agent-status.ts";
import type { Trouble } from "./trouble.ts";

/** What the others are told of this node. */
export function presenceOf(
  { version, node, cluster, raft }: AgentStatus,
  troubles: readonly Trouble[],
): PresenceBody {
  const codes = troubles.map(({ code }) => code);
  return {
    name: node.name,
    version,
    // Not the id of a member that does not speak any more: it would count as reachable.
    memberId: codes.includes("damaged") ? "" : node.memberId,
    clusterId: cluster.id,
    api: node.api,
    broker: node.broker,
    role: raft.role === "waiting" ? "spare" : raft.role === "learner" ? "standby" : "voter",
    raft: { term: raft.term, commit: raft.commitIndex, leader: raft.leader?.nodeId ?? null },
    ...(codes.length > 0 ? { extra: { troubles: codes } } : {}),
  };
}
