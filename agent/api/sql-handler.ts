import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { READ_LEVELS } from "../replica/read-level.ts";
import type { SqlService } from "../replica/sql-service.ts";
import { withDeadline } from "./answer-deadline.ts";
import type { ApiLimits } from "./api-limits.ts";
import type { ApiRequest } from "./api-request.ts";
import { encodeResults } from "./encode-results.ts";
import { parseStatements } from "./parse-statements.ts";
import { QueryString } from "./query-string.ts";
import { readBody } from "./read-body.ts";
import type { RequestBudget } from "./request-budget.ts";
import type { CommandResult, SqlStatement } from "./sql-types.ts";
import type { TextPieces } from "./text-pieces.ts";
import type { UnsentAnswers } from "./unsent-answers.ts";
import { writeJson } from "./write-json.ts";

/** SQL over HTTP in rqlite's forms: request in, text of the answer out. */
export class SqlHandler {
  readonly #sql: SqlService;
  readonly #limits: ApiLimits;
  readonly #budget: RequestBudget;
  readonly #unsent: UnsentAnswers;
  readonly #clock: Clock;

  constructor(parts: {
    readonly sql: SqlService;
    readonly limits: ApiLimits;
    readonly budget: RequestBudget;
    readonly unsent: UnsentAnswers;
    readonly clock: Clock;
  }) {
    this.#sql = parts.sql;
    this.#limits = parts.limits;
    this.#budget = parts.budget;
    this.#unsent = parts.unsent;
    this.#clock = parts.clock;
  }

  /** `POST /db/execute` */
  async execute({ incoming, target }: ApiRequest): Promise<TextPieces> {
    const parameters = new QueryString(target.query);
    const transaction = parameters.flag("transaction");
    const session = parameters.session();
    const text = await this.#answer(parameters, this.#limits.requestTimeoutMs, async (timeoutMs, claim) => {
      const body = await readBody(incoming, this.#limits.bodyBytesMax, claim);
      const statements = parseStatements(body);
      const answer = this.#sql.execute(statements, { transaction, session, timeoutMs });
      return withDeadline(this.#clock, timeoutMs, answer);
    });
    this.#unsent.assertRoomForResult(text.bytes);
    return text;
  }

  /** `POST /db/session` */
  openSession({ target }: ApiRequest): Promise<string> {
    const parameters = new QueryString(target.query);
    const { requestTimeoutMs, requestTimeoutMsMax } = this.#limits;
    const timeoutMs = parameters.durationMs("timeout", requestTimeoutMs, requestTimeoutMsMax);
    return this.#budget.run(async () => {
      const session = await withDeadline(this.#clock, timeoutMs, this.#sql.openSession({ timeoutMs }));
      return `${writeJson({ session })}\n`;
    });
  }

  /** `POST /db/query`, `GET /db/query?q=` */
  query({ incoming, target }: ApiRequest): Promise<TextPieces> {
    const parameters = new QueryString(target.query);
    // Linearizable unless the caller asks for less: rqlite's default is weak.
    const level = parameters.choice("level", READ_LEVELS, "linearizable");
    if (level === "none") parameters.refuse("freshness", "reads of level none may be of any age");
    return this.#answer(parameters, this.#limits.queryTimeoutMs, async (timeoutMs, claim) => {
      this.#unsent.assertRoomForRead();
      const statements = await this.#queryStatements(incoming, parameters, claim);
      const answer = this.#sql.query(statements, { level, timeoutMs });
      const results = await withDeadline(this.#clock, timeoutMs, answer);
      this.#unsent.assertRoomForRead();
      return results;
    });
  }

  async #queryStatements(
    incoming: ApiRequest["incoming"],
    parameters: QueryString,
    claim: (bytes: number) => void,
  ): Promise<readonly SqlStatement[]> {
    if (incoming.method === "POST")
      return parseStatements(await readBody(incoming, this.#limits.bodyBytesMax, claim));
    const sql = parameters.text("q");
    if (!sql) {
      throw new TrivetError(
        "bad-parameter",
        "A GET query needs its statement in the parameter q: ?q=SELECT+1",
      );
    }
    return [{ sql, parameters: [] }];
  }

  #answer(
    parameters: QueryString,
    otherwiseMs: number,
    run: (timeoutMs: number, claim: (bytes: number) => void) => Promise<CommandResult>,
  ): Promise<TextPieces> {
    const startMs = this.#clock.nowMs();
    const timeoutMs = parameters.durationMs("timeout", otherwiseMs, this.#limits.requestTimeoutMsMax);
    const format = {
      associative: parameters.flag("associative"),
      blobArray: parameters.flag("blob_array"),
      pretty: parameters.flag("pretty"),
    };
    const timings = parameters.flag("timings");
    return this.#budget.run(async (claim) => {
      const results = await run(timeoutMs, claim);
      const seconds = timings ? (this.#clock.nowMs() - startMs) / 1000 : undefined;
      return encodeResults(results, { ...format, seconds });
    });
  }
}
