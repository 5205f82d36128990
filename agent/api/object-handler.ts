import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { ObjectsService } from "../replica/objects-service.ts";
import { READ_LEVELS } from "../replica/read-level.ts";
import type { Answer } from "./answer.ts";
import { withDeadline } from "./answer-deadline.ts";
import type { ApiLimits } from "./api-limits.ts";
import type { ApiRequest } from "./api-request.ts";
import { encodeObjectList } from "./encode-objects.ts";
import { JSON_HEADERS } from "./error-response.ts";
import { parseAfter, parseObjectKey, parseObjectPath } from "./object-path.ts";
import { etagOf, preconditionOf } from "./object-precondition.ts";
import type { ObjectWrite } from "./object-types.ts";
import { QueryString } from "./query-string.ts";
import { readBody } from "./read-body.ts";
import type { RequestBudget } from "./request-budget.ts";
import type { UnsentAnswers } from "./unsent-answers.ts";
import type { WatchHandler } from "./watch-handler.ts";
import { writeJson } from "./write-json.ts";

const LIST_LIMIT = 500;
const BYTES_HEADERS = { ...JSON_HEADERS, "content-type": "application/octet-stream" } as const;

/** Cluster objects over HTTP: request in, answer out. */
export class ObjectHandler {
  readonly #objects: ObjectsService;
  readonly #limits: ApiLimits;
  readonly #budget: RequestBudget;
  readonly #unsent: UnsentAnswers;
  readonly #clock: Clock;
  readonly #watches: WatchHandler;

  constructor(parts: {
    readonly objects: ObjectsService;
    readonly limits: ApiLimits;
    readonly budget: RequestBudget;
    readonly unsent: UnsentAnswers;
    readonly clock: Clock;
    readonly watches: WatchHandler;
  }) {
    this.#objects = parts.objects;
    this.#limits = parts.limits;
    this.#budget = parts.budget;
    this.#unsent = parts.unsent;
    this.#clock = parts.clock;
    this.#watches = parts.watches;
  }

  /** Of one object, `/objects/KIND/NAMESPACE/NAME`. */
  async one(request: ApiRequest): Promise<Answer> {
    const parameters = new QueryString(request.target.query);
    switch (request.incoming.method) {
      case "PUT":
      case "DELETE":
        return this.#write(request, parameters);
      default:
        return parameters.flag("watch")
          ? this.#watches.watch(request, parameters)
          : this.#get(request, parameters);
    }
  }

  /** Of those of a kind, `/objects/KIND` or `/objects/KIND/NAMESPACE`. */
  async many(request: ApiRequest): Promise<Answer> {
    const parameters = new QueryString(request.target.query);
    return parameters.flag("watch")
      ? this.#watches.watch(request, parameters)
      : this.#list(request, parameters);
  }

  /** Of all, `/objects`: they can only be watched. */
  async all(request: ApiRequest): Promise<Answer> {
    const parameters = new QueryString(request.target.query);
    if (parameters.flag("watch")) return this.#watches.watch(request, parameters);
    throw new TrivetError(
      "bad-parameter",
      "Objects are listed by kind: /objects/KIND. All of them can be watched: ?watch",
    );
  }

  async #get(request: ApiRequest, parameters: QueryString): Promise<Answer> {
    const key = parseObjectKey(request.target);
    const { object } = await this.#read(parameters, (options) => this.#objects.get(key, options));
    if (object === null) {
      throw new TrivetError(
        "no-such-object",
        `There is no ${key.kind} ${JSON.stringify(key.name)} in this namespace.`,
      );
    }
    const { body, revision, createdRevision, uid } = object;
    const headers = {
      ...BYTES_HEADERS,
      etag: etagOf(revision),
      "trivet-uid": uid,
      "trivet-created-revision": String(createdRevision),
    };
    return { status: 200, headers, body };
  }

  async #list(request: ApiRequest, parameters: QueryString): Promise<Answer> {
    const { kind = "", namespace } = parseObjectPath(request.target);
    const after = parameters.text("after");
    const limit = Math.min(parameters.integer("limit", 1) ?? LIST_LIMIT, LIST_LIMIT);
    const wanted = {
      kind,
      limit,
      ...(namespace === undefined ? {} : { namespace }),
      ...(after === undefined ? {} : { after: parseAfter(after) }),
    };
    const list = await this.#read(parameters, (options) => this.#objects.list({ ...wanted, ...options }));
    const body = encodeObjectList(list, parameters.flag("pretty") ? 4 : 0);
    return { status: 200, headers: JSON_HEADERS, body };
  }

  #write(request: ApiRequest, parameters: QueryString): Promise<Answer> {
    const key = parseObjectKey(request.target);
    const session = parameters.session();
    const revision = preconditionOf(request.incoming.headers, parameters);
    const { bodyBytesMax, requestTimeoutMs, requestTimeoutMsMax } = this.#limits;
    const timeoutMs = parameters.durationMs("timeout", requestTimeoutMs, requestTimeoutMsMax);
    return this.#budget.run(async (claim) => {
      const write: ObjectWrite =
        request.incoming.method === "DELETE"
          ? { kind: "delete", key, revision }
          : { kind: "put", key, body: await readBody(request.incoming, bodyBytesMax, claim), revision };
      const written = this.#objects.write([write], { session, timeoutMs });
      const answer = await withDeadline(this.#clock, timeoutMs, written);
      const [uid] = answer.uids;
      const etag = write.kind === "put" ? { etag: etagOf(answer.revision) } : {};
      const text = `${writeJson({ revision: answer.revision, uid })}\n`;
      return { status: 200, headers: { ...JSON_HEADERS, ...etag }, body: text };
    });
  }

  #read<T>(
    parameters: QueryString,
    read: (options: {
      readonly level: (typeof READ_LEVELS)[number];
      readonly timeoutMs: number;
    }) => Promise<T>,
  ): Promise<T> {
    const level = parameters.choice("level", READ_LEVELS, "linearizable");
    const { queryTimeoutMs, requestTimeoutMsMax } = this.#limits;
    const timeoutMs = parameters.durationMs("timeout", queryTimeoutMs, requestTimeoutMsMax);
    return this.#budget.run(async () => {
      this.#unsent.assertRoomForRead();
      const found = await withDeadline(this.#clock, timeoutMs, read({ level, timeoutMs }));
      this.#unsent.assertRoomForRead();
      return found;
    });
  }
}
