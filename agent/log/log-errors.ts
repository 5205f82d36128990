import { systemErrorCode } from "../platform/directory.ts";
import { InvariantError } from "../platform/invariant.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";

/** The codes of the errors of the log. `log-corrupt` alone means that what is on the disk cannot be used. */
export const LOG_ERRORS = [
  "log-corrupt",
  "log-version",
  "log-failed",
  "log-full",
  "log-busy",
  "log-closed",
] as const;
export type LogErrorCode = (typeof LOG_ERRORS)[number];

/** Something was acknowledged and is not there any more, or was never what it should be. */
export function logCorrupt(where: string, what: string, cause?: unknown): TrivetError {
  const next =
    "This member must not vote any more; the cluster goes on while a majority of its voters is up. " +
    "Keep the data directory as it is: it may be the last copy.";
  return logError("log-corrupt", `The Raft log is damaged, in ${where}: ${what}. ${next}`, cause);
}

/**
 * The error for what went wrong with the disk `doing` something (a gerund, which begins a sentence): `log-full` if there
 * was no space, else `log-failed`. An error of ours is passed on as it is.
 */
export function diskError(doing: string, error: unknown): Error {
  if (error instanceof TrivetError || error instanceof InvariantError) return error;
  if (isOutOfSpace(error)) {
    const next =
      "Nothing was written. Free space on this file system; the log goes on as soon as there is some";
    return logError("log-full", `${doing} failed: no space is left. ${next}.`, error);
  }
  return logFailed(doing, error);
}

/** A write or sync has failed: what the disk holds is unknown until it is read again. */
export function logFailed(doing: string, error: unknown): TrivetError {
  const next = "The log takes no more writes: stop the process, check the disk, start again";
  return logError("log-failed", `${doing} failed: ${messageOf(error)}. ${next}.`, error);
}

export function logError(code: LogErrorCode, message: string, cause?: unknown): TrivetError {
  return new TrivetError(code, message, cause === undefined ? undefined : { cause });
}

function isOutOfSpace(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}
