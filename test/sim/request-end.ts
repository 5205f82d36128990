import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { ProcessDied } from "./sim-process.ts";
import { check } from "./violation.ts";

/** What a request that was not answered came to: nothing was done, or nobody knows. */
export type RequestEnd = "refused" | "unknown";

/** The agent stops, or its database has failed: it ends soon, and what it was asked for did nothing. */
const ENDING = ["stopping", "store-failed", "store-damaged", "store-closed"];

const READ_REFUSALS = ["no-leader", "overloaded", "store-busy", "not-serving", "timeout", ...ENDING];

const WRITE_REFUSALS = [
  ...["no-leader", "overloaded", "stopping", "store-busy", "store-damaged", "store-stuck", "disk-full"],
  "session-expired",
];
const DOUBTS = ["timeout", "outcome-unknown"];

const CHANGE_REFUSALS = [
  ...[
    "not-leader",
    "change-pending",
    "member-retired",
    "no-copy",
    "overloaded",
    "disk-full",
    "store-stuck",
    "stopping",
  ],
];

/** How a read ended that rejected with `error`. Throws what no caller of `SqlService.query` is to see. */
export function endOfRead(error: unknown): RequestEnd {
  return endAmong(error, READ_REFUSALS, []);
}

/** How a write ended that rejected with `error`. Throws what no caller of `SqlService.execute` is to see. */
export function endOfWrite(error: unknown): RequestEnd {
  return endAmong(error, WRITE_REFUSALS, DOUBTS);
}

/** How a change of members ended. Throws what no caller of `MemberChanges.change` is to see. */
export function endOfChange(error: unknown): RequestEnd {
  return endAmong(error, CHANGE_REFUSALS, DOUBTS);
}

function endAmong(error: unknown, refusals: readonly string[], doubts: readonly string[]): RequestEnd {
  if (error instanceof ProcessDied) return "unknown";
  if (!isTrivetError(error)) throw error;
  const { code, message } = error;
  const isRefusal = refusals.includes(code);
  check(isRefusal || doubts.includes(code), () => `a client was told ${code}: ${message}`);
  return isRefusal ? "refused" : "unknown";
}
