/** The code under test did what it promises never to do. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Nothing wrong was done, but too little: the cluster did not go on in time. */
export class Stuck extends Violation {}

/** Nobody knows whether something wrong was done. */
export class Undecided extends Violation {}

/** In which way a run failed: what its code does is wrong, or it does not go on, or does not run, or it could not be told. */
export type FailureKind = "wrong" | "stuck" | "program-error" | "undecided";

export function failureKindOf(error: unknown): FailureKind {
  if (error instanceof Stuck) return "stuck";
  if (error instanceof Undecided) return "undecided";
  return isProgramError(error) ? "program-error" : "wrong";
}

export function check(condition: boolean, violation: () => string): asserts condition {
  if (!condition) throw new Violation(violation());
}

/** An error of the language, itself or as the cause: the code does not run, rather than break what it promises. */
export function isProgramError(error: unknown): boolean {
  const isOne = [TypeError, ReferenceError, RangeError, SyntaxError].some((kind) => error instanceof kind);
  return isOne || (error instanceof Error && error.cause !== undefined && isProgramError(error.cause));
}
