import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { CommandResult, StoreEntry } from "../../agent/store/types.ts";
import { ENDLESS, type StoreNode } from "./store-node.ts";

/** What happens to a node between entries; the outcome must not depend on it. */
export type Incident = "nothing" | "reopen" | "checkpoint" | "kill";
export const INCIDENTS = ["nothing", "reopen", "checkpoint", "kill"] as const satisfies readonly Incident[];

/** Applies `entries` in batches of the given lengths, each followed by its incident. */
export async function applyInBatches(
  node: StoreNode,
  entries: readonly StoreEntry[],
  batches: readonly (readonly [length: number, incident: Incident])[],
): Promise<CommandResult[]> {
  const results: CommandResult[] = [];
  for (const [length, incident] of batches) {
    results.push(...(await node.store.apply(entries.slice(results.length, results.length + length))));
    if (incident === "reopen") await node.reopen();
    if (incident === "checkpoint") await node.store.checkpoint();
    if (incident === "kill") await killWorker(node);
  }
  results.push(...(await node.store.apply(entries.slice(results.length))));
  return results;
}

/** A query at its deadline takes its thread along, with all that SQLite has not committed. */
async function killWorker(node: StoreNode): Promise<void> {
  try {
    await node.store.query([ENDLESS], { timeoutMs: 1 });
  } catch (error) {
    if (!isTrivetError(error, "query-timeout")) throw error;
  }
}
