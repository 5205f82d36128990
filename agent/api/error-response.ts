import type { Logger } from "../platform/logger.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { writeJson } from "./write-json.ts";

/** HTTP status of every code that a request can end with (RFC 9110 15). Anything else is a failure of ours: 500. */
const STATUS: Readonly<Record<string, number>> = {
  "malformed-json": 400,
  "wrong-shape": 400,
  "bad-parameter": 400,
  "bad-request": 400,
  "client-gone": 400,
  "invalid-object": 400,
  "foreign-host": 403,
  "foreign-origin": 403,
  "no-such-object": 404,
  "not-found": 404,
  "method-not-allowed": 405,
  "slow-request": 408,
  "session-stale": 409,
  "revision-unknown": 409,
  "revision-compacted": 410,
  "session-expired": 410,
  conflict: 412,
  "body-too-large": 413,
  "too-large": 413,
  "unsupported-encoding": 415,
  "expectation-failed": 417,
  "answer-too-large": 422,
  "query-failed": 422,
  "result-too-large": 422,
  "too-expensive": 422,
  "headers-too-large": 431,
  "disk-full": 507,
  // These say that nothing was done, so that a client may go to the next node at once.
  busy: 503,
  damaged: 503,
  diverged: 503,
  "no-leader": 503,
  "no-route": 503,
  "not-leader": 503,
  "not-serving": 503,
  "store-busy": 503,
  "store-closed": 503,
  "store-damaged": 503,
  "store-stuck": 503,
  overloaded: 503,
  stopping: 503,
  "too-many-requests": 503,
  // And these that nobody knows, for a write.
  "bus-closed": 504,
  "outcome-unknown": 504,
  "query-timeout": 504,
  timeout: 504,
};

/** A shorter wait than a client's own backoff: an election takes about a second. */
const RETRY_AFTER_SECONDS = 1;

export interface ErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The answer that tells of `error`: `{"code", "error"}`. An error without a known code is logged, not told. */
export function errorResponse(error: unknown, logger: Logger): ErrorResponse {
  const status = isTrivetError(error) ? (STATUS[error.code] ?? 500) : 500;
  if (isTrivetError(error) && status !== 500) return describeError(error.code, error.message);
  logger.log("error", "A request failed inside the agent.", { error, stack: stackOf(error) });
  const code = isTrivetError(error) ? error.code : "internal";
  const message = isTrivetError(error) ? error.message : "The agent failed inside; its log says where.";
  return describeError(code, message);
}

/** The answer to a request that is refused before it is handled. */
export function describeError(code: string, message: string): ErrorResponse {
  const status = STATUS[code] ?? 500;
  return {
    status,
    headers: {
      ...JSON_HEADERS,
      ...(status === 503 ? { "retry-after": String(RETRY_AFTER_SECONDS) } : {}),
    },
    body: `${writeJson({ code, error: message })}\n`,
  };
}

export const JSON_HEADERS = {
  "content-type": "application/json; charset=utf-8",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
} as const;

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
