import type { AgentStatus } from "../membership/agent-status.ts";
import { TrivetError } from "../platform/trivet-error.ts";

/** Reads what `/status` answered. Rejects what is not a Trivet agent's with `not-trivet`. */
export function parseStatus(api: string, text: string): AgentStatus {
  const value = parse(text);
  if (isAgentStatus(value)) return value;
  throw new TrivetError(
    "not-trivet",
    `${api} answers, but not as a Trivet agent: is it another program's port?`,
  );
}

/** The parts that tell an agent from another program; their details are the agent's word. */
function isAgentStatus(value: unknown): value is AgentStatus {
  if (!isRecord(value)) return false;
  const { node, cluster, raft, members, links } = value;
  return (
    isRecord(node) && isRecord(cluster) && isRecord(raft) && Array.isArray(members) && Array.isArray(links)
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
