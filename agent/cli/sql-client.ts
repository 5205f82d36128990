import { parseJson } from "../api/parse-json.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { SqlAnswer } from "./format-result.ts";
import { requestApi } from "./request-api.ts";
import { isReadStatement } from "./sql-text.ts";

/** How much longer than the agent's deadline to wait for its answer. */
const GRACE_MS = 3_000;

export interface SqlClientOptions {
  readonly apis: readonly string[];
  /** As the API takes it; its own default if undefined. */
  readonly level: string | undefined;
  readonly timeoutMs: number;
}

/** Runs one statement on the cluster. Rejects with a `TrivetError` if the request or the statement failed. */
export async function runStatement(
  sql: string,
  options: SqlClientOptions,
): Promise<{ readonly answer: SqlAnswer; readonly text: string }> {
  const isRead = isReadStatement(sql);
  const parameters = new URLSearchParams({ timeout: `${options.timeoutMs}ms` });
  if (isRead && options.level !== undefined) parameters.set("level", options.level);
  const { status, text, api } = await requestApi(options.apis, {
    path: `/db/${isRead ? "query" : "execute"}?${parameters}`,
    body: JSON.stringify([sql]),
    timeoutMs: options.timeoutMs + GRACE_MS,
    isRepeatable: isRead,
  });
  const body = parseJson(text);
  if (status === 200 && isResults(body)) {
    const [answer] = body.results;
    if (answer?.error !== undefined) throw new TrivetError(answer.code ?? "sql", answer.error);
    if (answer !== undefined) return { answer, text };
  }
  if (isRefusal(body)) throw new TrivetError(body.code, body.error);
  throw new TrivetError("not-trivet", `${api} answered ${status}, but not as a Trivet agent does.`);
}

function isResults(body: unknown): body is { readonly results: readonly SqlAnswer[] } {
  return typeof body === "object" && body !== null && "results" in body && Array.isArray(body.results);
}

function isRefusal(body: unknown): body is { readonly code: string; readonly error: string } {
  if (typeof body !== "object" || body === null || !("code" in body) || !("error" in body)) return false;
  return typeof body.code === "string" && typeof body.error === "string";
}
