/** A broken invariant: a bug of ours. It must stop the agent before it can do harm. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Stops with an `InvariantError` if `condition` does not hold. Stays on in production. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
