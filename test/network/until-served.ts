import type { AgentProcess } from "../cluster/agent-process.ts";
import { until } from "../cluster/until.ts";

const DEADLINE_MS = 60_000;

/**
 * Resolves with the time at which the agent has acknowledged one of the writes that are sent through it from now on, many a
 * second: none waits for an answer to another, which may have been lost.
 */
export function untilServed(agent: AgentProcess, statement: string): Promise<number> {
  let servedMs: number | null = null;
  return until(`${agent.name} acknowledges a write`, DEADLINE_MS, async () => {
    agent.execute([statement], "?timeout=2s").then(
      ({ results }) => {
        if (results?.[0]?.rows_affected === 1) servedMs ??= performance.now();
      },
      () => undefined,
    );
    return servedMs;
  });
}
