import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { decodeCommand } from "../../agent/store/command.ts";
import { planQuery } from "../../agent/store/query-plan.ts";
import type { CommandResult, StoreEntry } from "../../agent/store/types.ts";
import { ENDLESS, PATIENT_MS, type StoreNode } from "./store-node.ts";

/** What happens to a node between entries; the outcome must not depend on it. */
export type Incident = "nothing" | "reopen" | "checkpoint" | "kill" | "rehearse";
export const INCIDENTS = [
  "nothing",
  "reopen",
  "checkpoint",
  "kill",
  "rehearse",
] as const satisfies readonly Incident[];

/** Applies `entries` in batches of the given lengths, each followed by `onBatch` and its incident, and then the rest. */
export async function applyInBatches(
  node: StoreNode,
  entries: readonly StoreEntry[],
  batches: readonly (readonly [length: number, incident: Incident])[],
  onBatch: () => void = () => undefined,
): Promise<CommandResult[]> {
  const results: CommandResult[] = [];
  for (const [length, incident] of batches) {
    results.push(...(await node.store.apply(entries.slice(results.length, results.length + length))));
    onBatch();
    if (incident === "reopen") await node.reopen();
    if (incident === "checkpoint") await node.store.checkpoint();
    if (incident === "kill") await killWorker(node);
    if (incident === "rehearse") await rehearse(node, entries.slice(results.length, results.length + 3));
  }
  results.push(...(await node.store.apply(entries.slice(results.length))));
  onBatch();
  return results;
}

/** What comes next, or would come if something was left out: in order, and the last one first. */
async function rehearse(node: StoreNode, next: readonly StoreEntry[]): Promise<void> {
  for (const { command } of [...next, ...next.toReversed()]) {
    if (command === null) continue;
    const decoded = decodeCommand(command);
    if (decoded.kind !== "sql") continue;
    const { statements, ...options } = decoded;
    await node.store.rehearse(statements, { ...options, timeoutMs: PATIENT_MS });
  }
}

/** A query at its deadline takes its thread along, with all that SQLite has not committed. */
export async function killWorker(node: StoreNode): Promise<void> {
  try {
    await node.store.query(planQuery([ENDLESS]), { timeoutMs: 1 });
  } catch (error) {
    if (!isTrivetError(error, "query-timeout")) throw error;
  }
}
