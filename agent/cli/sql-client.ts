import { parseJson } from "../api/parse-json.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { checkStatement } from "../store/sql-check.ts";
import type { SqlAnswer } from "./format-result.ts";
import { type ApiAnswer, type Repetition, requestApi } from "./request-api.ts";
import type { SqlRequest } from "./sql-script.ts";

/** How much longer than the agent's deadline to wait for its answer. */
const GRACE_MS = 3_000;

export interface SqlClientOptions {
  readonly apis: readonly string[];
  /** As the API takes it; its own default if undefined. */
  readonly level: string | undefined;
  readonly timeoutMs: number;
}

/** Runs requests on the cluster, one after the other. Writes share a session, so that one whose answer got lost is sent again and happens once. */
export class SqlClient {
  readonly #options: SqlClientOptions;
  #session: number | null = null;
  #sequence = 0;

  constructor(options: SqlClientOptions) {
    this.#options = options;
  }

  /**
   * The answers to all statements, and the text that they came in. Rejects with a `TrivetError` if the request or one of its statements
   * failed: then nothing of a transaction was done.
   */
  async run(request: SqlRequest): Promise<{ readonly answers: readonly SqlAnswer[]; readonly text: string }> {
    const { status, text, api } = await this.#send(request);
    const body = parseJson(text);
    if (status === 200 && isResults(body)) {
      const failed = body.results.findIndex(({ error }) => error !== undefined);
      if (failed >= 0) throw failureOf(request, failed, body.results[failed]);
      if (body.results.length > 0) return { answers: body.results, text };
    }
    if (!isRefusal(body)) throw notTrivet(api, status);
    if (body.code === "session-expired") this.#session = null;
    throw new TrivetError(body.code, body.error);
  }

  async #send({ statements, isTransaction }: SqlRequest): Promise<ApiAnswer> {
    // What may not be sent at all is refused by the node, like anything else that is wrong.
    const areReads = statements.every((sql) => {
      const check = checkStatement(sql);
      return check.ok && check.isReadOnly;
    });
    const { level } = this.#options;
    if (areReads)
      return this.#post("/db/query", level === undefined ? {} : { level }, statements, "harmless");
    const parameters = { ...(await this.#guard()), ...(isTransaction && { transaction: "true" }) };
    return this.#post("/db/execute", parameters, statements, "guarded");
  }

  /** Parameters of the next write. */
  async #guard(): Promise<Readonly<Record<string, string>>> {
    this.#session ??= await this.#openSession();
    this.#sequence++;
    return { session: String(this.#session), sequence: String(this.#sequence) };
  }

  async #openSession(): Promise<number> {
    const { status, text, api } = await this.#post("/db/session", {}, [], "harmless");
    const body = parseJson(text);
    if (isRefusal(body)) throw new TrivetError(body.code, body.error);
    if (!isSession(body)) throw notTrivet(api, status);
    return body.session;
  }

  #post(
    path: string,
    parameters: Readonly<Record<string, string>>,
    statements: readonly string[],
    repetition: Repetition,
  ): Promise<ApiAnswer> {
    const { apis, timeoutMs } = this.#options;
    const query = new URLSearchParams({ timeout: `${timeoutMs}ms`, ...parameters });
    return requestApi(apis, {
      path: `${path}?${query}`,
      body: statements.length === 0 ? "" : JSON.stringify(statements),
      timeoutMs: timeoutMs + GRACE_MS,
      repetition,
    });
  }
}

function failureOf(
  { statements, isTransaction }: SqlRequest,
  at: number,
  { code = "sql", error = "" }: SqlAnswer = {},
): TrivetError {
  if (!isTransaction) return new TrivetError(code, error);
  return new TrivetError(
    code,
    `Statement ${at + 1} of ${statements.length} in the transaction failed, and nothing of it was carried out: ${error}`,
  );
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
