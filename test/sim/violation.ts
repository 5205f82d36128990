/** The code under test did what it promises never to do. */
export class Violation extends Error {
  override readonly name = "Violation";
}

export function check(condition: boolean, violation: () => string): asserts condition {
  if (!condition) throw new Violation(violation());
}
