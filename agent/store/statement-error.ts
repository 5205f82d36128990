import { resultCodeName, SqliteError } from "./sqlite-error.ts";
import type { StatementResult } from "./types.ts";

/** A statement failed for a reason that is ours, not SQLite's, and the same on every node. */
export class StatementError extends Error {
  override readonly name = "StatementError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function errorResult(code: string, message: string): StatementResult & { readonly kind: "error" } {
  return { kind: "error", code, message };
}

const BROKEN_INDEX =
  "A full-text index does not agree with itself or with its content. Make it anew with its command 'rebuild'.";

/**
 * What was thrown as the statement's result, if every node would answer so; throws it again if it tells about this
 * box only (or is a bug).
 */
export function toErrorResult(error: unknown): StatementResult & { readonly kind: "error" } {
  if (error instanceof StatementError) return errorResult(error.code, error.message);
  if (error instanceof SqliteError && !error.isEnvironmental) {
    return errorResult(resultCodeName(error), error.isBrokenIndex ? BROKEN_INDEX : error.message);
  }
  throw error;
}
