import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";

/** `store-damaged`: the files are not sound databases any more. `store-failed`: the box failed them (disk, memory). */
export type StoreFailure = "store-failed" | "store-damaged";

const STORE_ENDS = ["store-failed", "store-damaged", "store-closed"] as const;

/** How an answer ends that a store does not give any more: what it had not done yet, it will not do. */
type StoreEnded = TrivetError & { readonly code: (typeof STORE_ENDS)[number] };

export function isStoreEnded(error: unknown): error is StoreEnded {
  return STORE_ENDS.some((code) => isTrivetError(error, code));
}

export function storeFailed(code: StoreFailure, reason: string): TrivetError {
  return code === "store-damaged"
    ? new TrivetError(
        code,
        `The database of this node is damaged: ${reason}. It needs a fresh copy from the others; look at its disk.`,
      )
    : new TrivetError(
        code,
        `The database of this node has failed: ${reason}. Look at its disk and memory, then start the agent again.`,
      );
}
