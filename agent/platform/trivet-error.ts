/**
 * The one error class of operating errors: something that the world did, not a bug of ours.
 *
 * `code` is stable (scripts and clients match on it), the message says what failed, what was found and
 * what to do next. Wrap the original with `cause`.
 */
export class TrivetError extends Error {
  override readonly name = "TrivetError";
  readonly code: string;

  constructor(code: string, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** True if `error` is a `TrivetError`, of this code if one is given. */
export function isTrivetError(error: unknown, code?: string): error is TrivetError {
  return error instanceof TrivetError && (code === undefined || error.code === code);
}

/** The sentence of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
