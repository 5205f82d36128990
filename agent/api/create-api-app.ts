import type { IncomingMessage } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import type { AgentStatus } from "../membership/agent-status.ts";
import type { Logger } from "../platform/logger.ts";
import { describeError, type ErrorResponse, errorResponse, JSON_HEADERS } from "./error-response.ts";
import type { ObjectHandler } from "./object-handler.ts";
import { QueryString } from "./query-string.ts";
import { readinessOf } from "./readiness.ts";
import type { SqlHandler } from "./sql-handler.ts";

const TEXT_HEADERS = { ...JSON_HEADERS, "content-type": "text/plain; charset=utf-8" } as const;

/** Everything the API answers: paths, their methods, and what stands behind them. */
export function createApiApp(parts: {
  readonly sql: SqlHandler;
  readonly objects: ObjectHandler;
  readonly status: () => AgentStatus;
  readonly guard: (headers: IncomingMessage["headers"]) => void;
  readonly logger: Logger;
}): Hono<{ Bindings: HttpBindings }> {
  const { sql, objects, status, guard, logger } = parts;
  const app = new Hono<{ Bindings: HttpBindings }>();

  type Handler = (incoming: IncomingMessage) => Response | Promise<Response>;
  const route = (path: string, methods: readonly string[], handle: Handler): void => {
    // Where GET is allowed, HEAD is, too (RFC 9110 9.3.2); Hono drops the content.
    const allowed = methods.includes("GET") ? [...methods, "HEAD"] : methods;
    app.all(path, (context) => {
      const { incoming } = context.env;
      if (allowed.includes(incoming.method ?? "")) return handle(incoming);
      const message = `${path} takes ${methods.join(" and ")}, not ${incoming.method}.`;
      const response = describeError("method-not-allowed", message);
      return respond({ ...response, headers: { ...response.headers, allow: allowed.join(", ") } });
    });
  };

  app.use(async (context, next) => {
    guard(context.env.incoming.headers);
    await next();
  });

  route("/db/execute", ["POST"], async (incoming) => json(await sql.execute(incoming)));
  route("/db/query", ["GET", "POST"], async (incoming) => json(await sql.query(incoming)));

  route("/db/session", ["POST"], async (incoming) => json(await sql.openSession(incoming)));

  route("/objects", ["GET"], (incoming) => objects.all(incoming));
  route("/objects/:kind", ["GET"], (incoming) => objects.many(incoming));
  route("/objects/:kind/:namespace", ["GET"], (incoming) => objects.many(incoming));
  route("/objects/:kind/:namespace/:name", ["GET", "PUT", "DELETE"], (incoming) => objects.one(incoming));

  route("/status", ["GET"], (incoming) => {
    const indent = new QueryString(incoming.url ?? "").flag("pretty") ? 4 : 0;
    return json(`${JSON.stringify(status(), null, indent)}\n`);
  });

  route("/readyz", ["GET"], (incoming) => {
    const parameters = new QueryString(incoming.url ?? "");
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
