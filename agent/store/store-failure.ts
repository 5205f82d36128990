import { TrivetError } from "../platform/trivet-error.ts";

/** `store-damaged`: the files are not sound databases any more. `store-failed`: the box failed them (disk, memory). */
export type StoreFailure = "store-failed" | "store-damaged";

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
