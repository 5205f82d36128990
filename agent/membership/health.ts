import type { AgentStatus } from "./agent-status.ts";

export interface HealthInput {
  /** Names of the voters that are reachable, this node included if it votes. */
  readonly reachable: readonly string[];
  /** How many of them are there, and could not stand in for another that fails. */
  readonly troubled: number;
  readonly unreachable: readonly string[];
  readonly hasLeader: boolean;
}

export type Health = Pick<
  AgentStatus["cluster"],
  "health" | "voters" | "votersReachable" | "failuresTolerated"
>;

/** How many more voters may fail, and that in a sentence. */
export function healthOf({ reachable, troubled, unreachable, hasLeader }: HealthInput): Health {
  const voters = reachable.length + unreachable.length;
  const votersReachable = reachable.length;
  const quorum = Math.floor(voters / 2) + 1;
  const hasQuorum = votersReachable >= quorum;
  const failuresTolerated = hasQuorum ? Math.max(0, votersReachable - troubled - quorum) : -1;
  const figures = { voters, votersReachable, failuresTolerated };
  const count = `${votersReachable} of ${voters} ${voters === 1 ? "voter" : "voters"}`;
  const missing = unreachable.length === 0 ? "" : `; ${unreachable.join(" and ")} unreachable`;
  if (!hasQuorum) return { ...figures, health: `no quorum: ${count}${missing}` };
  if (!hasLeader) return { ...figures, health: `no leader: ${count} are electing one${missing}` };
  if (votersReachable < voters || troubled > 0) {
    return { ...figures, health: `degraded: ${count}, tolerates ${more(failuresTolerated)}${missing}` };
  }
  const word = failuresTolerated > 0 ? "yes" : "no";
  return { ...figures, health: `HA: ${word}, ${count}, tolerates ${more(failuresTolerated)}` };
}

function more(failures: number): string {
  if (failures === 0) return "no failure";
  return failures === 1 ? "1 more failure" : `${failures} more failures`;
}
