import { TrivetError } from "../platform/trivet-error.ts";

export interface ApiAnswer {
  /** Base URL of the API that answered. */
  readonly api: string;
  readonly status: number;
  readonly text: string;
}

export interface ApiRequest {
  /** Path and query. */
  readonly path: string;
  /** POSTed if given. */
  readonly body?: string;
  /** For each API that is tried. */
  readonly timeoutMs: number;
  readonly repetition: Repetition;
}

/** What to do if nobody knows whether a request was done. */
export type Repetition =
  /** It changes nothing: ask the next API. */
  | "harmless"
  /** It is done once, however often it is sent: ask the next API; but until one answers, it may have been done. */
  | "guarded"
  /** Give up. */
  | "forbidden";

/** Causes that prove that the request never left. */
const NEVER_SENT: readonly string[] = [
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
];

/**
 * Asks one API after the other until one answers with anything but 503 (which promises that nothing was done) or, if the
 * request is guarded, 504 (which promises nothing). Rejects with `outcome-unknown` if a request that changes something was
 * sent and its answer got lost, with `unreachable` if none answered at all.
 */
export async function requestApi(apis: readonly string[], request: ApiRequest): Promise<ApiAnswer> {
  const failures: string[] = [];
  const isGuarded = request.repetition === "guarded";
  let refusal: ApiAnswer | undefined;
  let lost: TrivetError | undefined;
  for (const api of apis) {
    try {
      const answer = await requestOne(api, request);
      if (answer.status !== 503 && !(answer.status === 504 && isGuarded)) return answer;
      if (answer.status === 504) lost = answerLost(api, "504");
      refusal = answer;
    } catch (cause) {
      const reason = reasonOf(cause);
      if (request.repetition !== "harmless" && !NEVER_SENT.includes(codeOf(cause))) {
        lost = answerLost(api, reason, cause);
        if (!isGuarded) throw lost;
      }
      failures.push(`${api}: ${reason}`);
    }
  }
  if (lost !== undefined) throw lost;
  if (refusal !== undefined) return refusal;
  throw new TrivetError(
    "unreachable",
    `No agent answered (${failures.join("; ")}). Is one running? Try --api URL.`,
  );
}

function answerLost(api: string, reason: string, cause?: unknown): TrivetError {
  return new TrivetError(
    "outcome-unknown",
    `${api} took the request, but its answer got lost (${reason}): it may or may not have happened.`,
    { cause },
  );
}

async function requestOne(api: string, { path, body, timeoutMs }: ApiRequest): Promise<ApiAnswer> {
  const response = await fetch(`${api}${path}`, {
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined ? {} : { method: "POST", body, headers: { "content-type": "application/json" } }),
  });
  return { api, status: response.status, text: await response.text() };
}

/** fetch() hides what went wrong in the cause of a "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return "no answer in time";
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || codeOf(error);
}

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}
