import { TrivetError } from "../platform/trivet-error.ts";

/** Throws `malformed-command` unless `condition` holds. */
export function requireField(condition: boolean, problem: string): asserts condition {
  if (!condition) throw malformedCommand(problem);
}

/** `problem` is a clause about the command, such as "its seed is wrong". */
export function malformedCommand(problem: string): TrivetError {
  return new TrivetError("malformed-command", `The command cannot be used: ${problem}.`);
}

/** An integer from 0 that a number holds exactly. */
export function isWholeNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
