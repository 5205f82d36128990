import { parseJson } from "../api/parse-json.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { checkStatement } from "../store/sql-check.ts";
import type { SqlAnswer } from "./format-result.ts";
import { type ApiAnswer, type Repetition, requestApi } from "./request-api.ts";

/** How much longer than the agent's deadline to wait for its answer. */
const GRACE_MS = 3_000;

export interface SqlClientOptions {
  readonly apis: readonly string[];
  /** As the API takes it; its own default if undefined. */
  readonly level: string | undefined;
  readonly timeoutMs: number;
}

/** Runs statements on the cluster, one after the other. Writes share a session, so that one whose answer got lost is sent again and happens once. */
export class SqlClient {
  readonly #options: SqlClientOptions;
  #session: number | null = null;
  #sequence = 0;

  constructor(options: SqlClientOptions) {
    this.#options = options;
  }

  /** Rejects with a `TrivetError` if the request or the statement failed. */
  async run(sql: string): Promise<{ readonly answer: SqlAnswer; readonly text: string }> {
    const check = checkStatement(sql);
    // What may not be sent at all is refused by the node, like anything else that is wrong.
    const isRead = check.ok && check.isReadOnly;
    const { level } = this.#options;
    const { status, text, api } = isRead
      ? await this.#post("/db/query", level === undefined ? {} : { level }, sql, "harmless")
      : await this.#post("/db/execute", await this.#guard(), sql, "guarded");
    const body = parseJson(text);
    if (status === 200 && isResults(body)) {
      const [answer] = body.results;
      if (answer?.error !== undefined) throw new TrivetError(answer.code ?? "sql", answer.error);
      if (answer !== undefined) return { answer, text };
    }
    if (!isRefusal(body)) throw notTrivet(api, status);
    if (body.code === "session-expired") this.#session = null;
    throw new TrivetError(body.code, body.error);
  }

  /** Parameters of the next write. */
  async #guard(): Promise<Readonly<Record<string, string>>> {
    this.#session ??= await this.#openSession();
    this.#sequence++;
    return { session: String(this.#session), sequence: String(this.#sequence) };
  }

  async #openSession(): Promise<number> {
    const { status, text, api } = await this.#post("/db/session", {}, undefined, "harmless");
    const body = parseJson(text);
    if (isRefusal(body)) throw new TrivetError(body.code, body.error);
    if (!isSession(body)) throw notTrivet(api, status);
    return body.session;
  }

  #post(
    path: string,
    parameters: Readonly<Record<string, string>>,
    sql: string | undefined,
    repetition: Repetition,
  ): Promise<ApiAnswer> {
    const { apis, timeoutMs } = this.#options;
    const query = new URLSearchParams({ timeout: `${timeoutMs}ms`, ...parameters });
    return requestApi(apis, {
      path: `${path}?${query}`,
      body: sql === undefined ? "" : JSON.stringify([sql]),
      timeoutMs: timeoutMs + GRACE_MS,
      repetition,
    });
  }
}

function notTrivet(api: string, status: number): TrivetError {
  return new TrivetError("not-trivet", `${api} answered ${status}, but not as a Trivet agent does.`);
}

function isSession(body: unknown): body is { readonly session: number } {
  return typeof body === "object" && body !== null && "session" in body && typeof body.session === "number";
}

function isResults(body: unknown): body is { readonly results: readonly SqlAnswer[] } {
  return typeof body === "object" && body !== null && "results" in body && Array.isArray(body.results);
}

function isRefusal(body: unknown): body is { readonly code: string; readonly error: string } {
  if (typeof body !== "object" || body === null || !("code" in body) || !("error" in body)) return false;
  return typeof body.code === "string" && typeof body.error === "string";
}
