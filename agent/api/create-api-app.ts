import { Hono } from "hono";
import type { AgentStatus } from "../membership/agent-status.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { type ApiRequest, hostOf } from "./api-request.ts";
import { describeError, type ErrorResponse, errorResponse, JSON_HEADERS } from "./error-response.ts";
import type { ObjectHandler } from "./object-handler.ts";
import { QueryString } from "./query-string.ts";
import { readinessOf } from "./readiness.ts";
import type { createRequestGuard } from "./request-guard.ts";
import type { SqlHandler } from "./sql-handler.ts";

const TEXT_HEADERS = { ...JSON_HEADERS, "content-type": "text/plain; charset=utf-8" } as const;

/** Everything the API answers: paths, their methods, and what stands behind them. */
export function createApiApp(parts: {
  readonly sql: SqlHandler;
  readonly objects: ObjectHandler;
  readonly status: () => AgentStatus;
  readonly guard: ReturnType<typeof createRequestGuard>;
  readonly logger: Logger;
}): Hono<{ Bindings: ApiRequest }> {
  const { sql, objects, status, guard, logger } = parts;
  const app = new Hono<{ Bindings: ApiRequest }>({
    // What the handlers go by, too; Hono's own reading of the URL would be a second one.
    getPath: (_, options) => {
      invariant(options?.env !== undefined, "a request without its bindings");
      return options.env.target.path;
    },
  });

  type Handler = (request: ApiRequest) => Response | Promise<Response>;
  const route = (path: string, methods: readonly string[], handle: Handler): void => {
    // Where GET is allowed, HEAD is, too (RFC 9110 9.3.2); Hono drops the content.
    const allowed = methods.includes("GET") ? [...methods, "HEAD"] : methods;
    app.all(path, (context) => {
      const { method } = context.env.incoming;
      if (allowed.includes(method ?? "")) return handle(context.env);
      const message = `${path} takes ${methods.join(" and ")}, not ${method}.`;
      const response = describeError("method-not-allowed", message);
      return respond({ ...response, headers: { ...response.headers, allow: allowed.join(", ") } });
    });
  };

  app.use(async (context, next) => {
    const { origin } = context.env.incoming.headers;
    guard({ host: hostOf(context.env), origin });
    await next();
  });

  route("/db/execute", ["POST"], async (request) => json(await sql.execute(request)));
  route("/db/query", ["GET", "POST"], async (request) => json(await sql.query(request)));

  route("/db/session", ["POST"], async (request) => json(await sql.openSession(request)));

  route("/objects", ["GET"], (request) => objects.all(request));
  route("/objects/:kind", ["GET"], (request) => objects.many(request));
  route("/objects/:kind/:namespace", ["GET"], (request) => objects.many(request));
  route("/objects/:kind/:namespace/:name", ["GET", "PUT", "DELETE"], (request) => objects.one(request));

  route("/status", ["GET"], ({ target }) => {
    const indent = new QueryString(target.query).flag("pretty") ? 4 : 0;
    return json(`${JSON.stringify(status(), null, indent)}\n`);
  });

  route("/readyz", ["GET"], ({ target }) => {
    const parameters = new QueryString(target.query);
    parameters.refuse("sync", "compare appliedIndex in /status instead");
    if (parameters.flag("noleader")) return new Response("[+]node ok\n", { headers: TEXT_HEADERS });
    const { isReady, lines } = readinessOf(status());
    return new Response(`${lines.join("\n")}\n`, { status: isReady ? 200 : 503, headers: TEXT_HEADERS });
  });

  route("/livez", ["GET"], () => new Response("[+]node ok\n", { headers: TEXT_HEADERS }));

  app.notFound((context) => {
    const paths = "/db/execute, /db/query, /db/session, /objects, /status, /readyz, /livez";
    return respond(describeError("not-found", `There is no ${context.req.path}; there are ${paths}.`));
  });
  app.onError((error) => respond(errorResponse(error, logger)));
  return app;
}

function json(body: string): Response {
  return new Response(body, { headers: JSON_HEADERS });
}

function respond({ status, headers, body }: ErrorResponse): Response {
  return new Response(body, { status, headers });
}
