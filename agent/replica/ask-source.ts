import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { Transport } from "./ports.ts";

/** Of the own store: what is there cannot be trusted any more, and the agent must stop. */
export const STORE_ENDED: readonly string[] = ["store-failed", "store-damaged", "store-closed"];

/**
 * Asks the source of a snapshot. That its store has ended says nothing of this node's, which must not end with it: then it rejects with
 * `source-failed`.
 */
export async function askSource(
  transport: Pick<Transport, "request">,
  ...question: Parameters<Transport["request"]>
): Promise<Uint8Array> {
  try {
    return await transport.request(...question);
  } catch (error) {
    if (!isTrivetError(error) || !STORE_ENDED.includes(error.code)) throw error;
    // mark: replica: the store of a snapshot's source has ended
    throw new TrivetError("source-failed", `The store of a snapshot's source has ended: ${error.message}`, {
      cause: error,
    });
  }
}
