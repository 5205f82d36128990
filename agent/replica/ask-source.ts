import { TrivetError } from "../platform/trivet-error.ts";
import { isStoreEnded } from "../store/store-failure.ts";
import type { Transport } from "./ports.ts";

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
    if (!isStoreEnded(error)) throw error;
    // mark: replica: the store of a snapshot's source has ended
    throw new TrivetError("source-failed", `The store of a snapshot's source has ended: ${error.message}`, {
      cause: error,
    });
  }
}
