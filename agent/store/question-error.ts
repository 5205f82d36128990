import { TrivetError } from "../platform/trivet-error.ts";
import type { Question } from "./worker-protocol.ts";

/** What the caller of a question is told that has no answer. A reason per way to end, in words for each kind. */

/** It was running when its time had passed. */
export function ranTooLong({ kind }: Question, timeoutMs: number): TrivetError {
  const limit = `${Math.round(timeoutMs)} ms`;
  return kind !== "rehearse"
    ? new TrivetError(
        "query-timeout",
        `The query ran for longer than its ${limit} and was ended. Make it cheaper, or give it more time.`,
      )
    : new TrivetError(
        "too-expensive",
        `The write was tried out, did not end within ${limit}, and was not carried out. Make it cheaper, or write in smaller pieces.`,
      );
}

/** It had not begun when its time had passed. */
export function waitedTooLong({ kind }: Question, timeoutMs: number): TrivetError {
  const limit = `${Math.round(timeoutMs)} ms`;
  return kind !== "rehearse"
    ? new TrivetError(
        "query-timeout",
        `The query waited its ${limit} behind other work. Try again, or give it more time.`,
      )
    : new TrivetError(
        "store-busy",
        `The write waited its ${limit} behind other work to be tried out, and was not carried out. Try again later.`,
      );
}

/** It was running when writes had waited for `patienceMs` behind it. */
export function heldUpWrites({ kind }: Question, patienceMs: number): TrivetError {
  const reason = `was ended because other writes had waited ${patienceMs} ms for it`;
  return kind !== "rehearse"
    ? new TrivetError("query-timeout", `The query ${reason}. Make it cheaper, or ask when less is written.`)
    : new TrivetError(
        "too-expensive",
        `The write was tried out, ${reason}, and was not carried out. Make it cheaper, or write in smaller pieces.`,
      );
}

/** It was tried out, and would have written more than `bytesMax`. */
export function wroteTooMuch(bytesMax: number): TrivetError {
  const limit = `${Math.round(bytesMax / MIB)} MiB`;
  return new TrivetError(
    "too-expensive",
    `The write was tried out, would write more than ${limit} to the disk of each node, and was not carried out. Split it into several requests: change fewer rows in each, for example with LIMIT or by ranges of a key.`,
  );
}

const MIB = 1024 * 1024;

/** SQLite, or its thread, could not carry it out. */
export function couldNotRun({ kind }: Question, reason: string): TrivetError {
  const subject = kind !== "rehearse" ? "query" : "write, which was tried out first,";
  return new TrivetError(
    "query-failed",
    `The ${subject} could not be carried out: ${reason}. Make it cheaper, or look at this node's memory and disk.`,
  );
}
