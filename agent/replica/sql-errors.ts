import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import type { CommandResult } from "../store/types.ts";

/** How requests end that end badly, in the words of `SqlService`; and what the bus's and the replica's codes mean there. */

/**
 * Codes that vouch for it that the request had no effect and never will. `unknown-method` comes from an agent that takes no
 * part in the cluster yet, or no more.
 */
const NOTHING_DONE = ["not-leader", "no-route", "stopping", "unknown-method"];
/** The receiver, or the way there, had too much to do; nothing was done. */
const OVERLOADED = ["busy", "too-many-requests", "overloaded"];
/** The request left, and no answer came; or the leader stopped before it knew one. */
const ANSWER_LOST = ["peer-down", "request-timeout", "request-aborted", "bus-closed", "outcome-unknown"];
/** Refusals of a session that does not know, or no more, whether it has done the write: of earlier tries they say nothing. */
const FORGOTTEN = ["session-expired", "session-stale"];
/** Results that refuse a whole command of a session, or of objects. */
const REFUSALS = [...FORGOTTEN, "answer-too-large", "conflict"];

/** Refusals that may come before anyone has looked whether the session has done the write already. */
const REFUSED_UNASKED = [
  "disk-full",
  "no-leader",
  "overloaded",
  "store-busy",
  "store-damaged",
  "store-stuck",
];

/** True if the request may be sent again without doing anything twice. */
export function isNothingDone(error: unknown): boolean {
  return isTrivetError(error) && NOTHING_DONE.includes(error.code);
}

/** True if the request may or may not have had its effect. */
export function isAnswerLost(error: unknown): boolean {
  return isTrivetError(error) && ANSWER_LOST.includes(error.code);
}

/** Throws what a command was answered as a whole, if that is a refusal: to its client it is an error of the request. */
export function throwIfRefused(result: CommandResult): void {
  throwIfAmong(REFUSALS, result);
}

/** Throws what a command was answered as a whole, if that says nothing of earlier tries of it. */
export function throwIfForgotten(result: CommandResult): void {
  throwIfAmong(FORGOTTEN, result);
}

function throwIfAmong(codes: readonly string[], [first]: CommandResult): void {
  if (first?.kind === "error" && codes.includes(first.code)) throw new TrivetError(first.code, first.message);
}

/** What the caller is told of an error that ends its request. */
export function toSqlError(error: unknown): unknown {
  if (!isTrivetError(error)) return error;
  if (OVERLOADED.includes(error.code)) return overloaded(error);
  if (isAnswerLost(error)) return outcomeUnknown(error);
  // Until the deadline everyone who was asked refused.
  if (isNothingDone(error)) return noLeader(error);
  return error;
}

/** What the caller is told of an error that ends its write after an answer to it got lost: it vouches for nothing any more. */
export function afterLostAnswer(error: TrivetError): TrivetError {
  return FORGOTTEN.includes(error.code) ? outcomeForgotten(error) : outcomeUnknown(error);
}

/**
 * A refusal, in what it tells the client of a session: that nothing was done says nothing of earlier tries of the same write, unless
 * the session was asked.
 */
export function ofThisTry(error: unknown): unknown {
  if (!isTrivetError(error) || !REFUSED_UNASKED.includes(error.code)) return error;
  const { code, message } = error;
  return new TrivetError(
    code,
    `${message} This is said of this try: an earlier one with the same session and sequence may have been carried out.`,
    { cause: error },
  );
}

export function notLeader(): TrivetError {
  return new TrivetError("not-leader", "This node does not lead: nothing was done. Ask the leader.");
}

export function noLeader(cause?: unknown): TrivetError {
  return new TrivetError(
    "no-leader",
    "There is no leader, so nothing was done: too few voters reach one another. See `trivet status`, then try again.",
    { cause },
  );
}

export function overloaded(cause?: unknown): TrivetError {
  return new TrivetError("overloaded", "Too many requests wait already: nothing was done. Try again later.", {
    cause,
  });
}

export function outcomeUnknown(cause?: unknown): TrivetError {
  return new TrivetError(
    "outcome-unknown",
    "The leader was lost before it answered: the write may or may not have taken effect. Read before you repeat it, or repeat it with the same session and sequence.",
    { cause },
  );
}

function outcomeForgotten(cause: TrivetError): TrivetError {
  return new TrivetError(
    "outcome-unknown",
    "The answer got lost, and meanwhile the session has expired or has come past this sequence: the write may or may not have taken effect. Read before you repeat it with a new session or sequence.",
    { cause },
  );
}

export function writeTimeout(): TrivetError {
  return new TrivetError(
    "timeout",
    "The write was not acknowledged in time: it may or may not take effect. Read before you repeat it, or repeat it with the same session and sequence.",
  );
}

export function readTimeout(): TrivetError {
  return new TrivetError(
    "timeout",
    "The leader did not confirm the read in time. Try again, or lower the level.",
  );
}

export function stopping(cause?: unknown): TrivetError {
  return new TrivetError("stopping", "This node is stopping: nothing was done. Ask another one.", { cause });
}
