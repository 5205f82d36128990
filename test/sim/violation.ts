/** The code under test did what it promises never to do. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Nothing wrong was done, but too little: the cluster did not go on in time. */
export class Stuck extends Violation {}

export function check(condition: boolean, violation: () => string): asserts condition {
  if (!condition) throw new Violation(violation());
}

/** An error of the language, itself or as the cause: the code does not run, rather than break what it promises. */
export function isProgramError(error: unknown): boolean {
  const isOne = [TypeError, ReferenceError, RangeError, SyntaxError].some((kind) => error instanceof kind);
  return isOne || (error instanceof Error && error.cause !== undefined && isProgramError(error.cause));
}
