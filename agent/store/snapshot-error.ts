import { systemErrorCode } from "../platform/directory.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "./types.ts";

/** Why a snapshot could not be given or taken; the store itself goes on. */

export function snapshotGone(reason: string): TrivetError {
  return new TrivetError("snapshot-gone", `The snapshot has ended: ${reason}. Open another one.`);
}

/** Whoever installed it would have a membership, or rows, of entries that its log does not hold. */
export function snapshotNotLevel({ index }: LogPosition): TrivetError {
  return new TrivetError(
    "snapshot-not-level",
    `One database is ahead of the other since a crash: ask again when the log has brought both to entry ${index}.`,
  );
}

export function snapshotCorrupt(found: string): TrivetError {
  return new TrivetError(
    "snapshot-corrupt",
    `The snapshot was not installed: ${found}. Nothing has changed; fetch it again.`,
  );
}

/** The disk refused. Its code (ENOSPC, EIO, ...) is that of `cause`. */
export function snapshotFailed(action: string, cause: unknown): TrivetError {
  if (cause instanceof TrivetError) return cause;
  const code = systemErrorCode(cause) ?? messageOf(cause);
  return new TrivetError(
    "snapshot-failed",
    `The snapshot could not be ${action} (${code}). Nothing has changed; look at this node's disk.`,
    { cause },
  );
}
