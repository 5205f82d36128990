import type { AgentStatus } from "../membership/agent-status.ts";

/** Whether this node serves the database, and a line for each thing that it needs. */
export interface Readiness {
  readonly isReady: boolean;
  readonly lines: readonly string[];
}

/** As rqlite's `/readyz`: `[+]node ok`, `[+]leader ok`, `[+]store ok`; what is missing has a `[-]` and the reason. */
export function readinessOf(status: AgentStatus): Readiness {
  const lines = ["[+]node ok"];
  const { role, leader } = status.raft;
  lines.push(leader ? "[+]leader ok" : `[-]leader does not exist: ${status.cluster.health}`);
  lines.push(storeLine(status.raft));
  const { isStuck, copyFault } = status.raft;
  return { isReady: leader !== null && role !== "waiting" && !isStuck && copyFault === null, lines };
}

function storeLine({ role, isStuck, appliedIndex, copyFault }: AgentStatus["raft"]): string {
  if (role === "waiting") return "[-]store waits for its cluster";
  if (copyFault !== null) return "[-]store fetches a fresh copy of the data";
  return isStuck ? `[-]store is stuck behind entry ${appliedIndex}` : "[+]store ok";
}
