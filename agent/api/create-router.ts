import type { AgentStatus } from "../membership/agent-status.ts";
import type { Answer } from "./answer.ts";
import { JSON_HEADERS } from "./error-response.ts";
import type { ObjectHandler } from "./object-handler.ts";
import { QueryString } from "./query-string.ts";
import { readinessOf } from "./readiness.ts";
import { Router } from "./router.ts";
import type { SqlHandler } from "./sql-handler.ts";

const TEXT_HEADERS = { ...JSON_HEADERS, "content-type": "text/plain; charset=utf-8" } as const;

/** Everything the API answers: paths, their methods, and what stands behind them. */
export function createRouter(parts: {
  readonly sql: SqlHandler;
  readonly objects: ObjectHandler;
  readonly status: () => AgentStatus;
}): Router {
  const { sql, objects, status } = parts;
  const router = new Router();

  router.route("/db/execute", ["POST"], async (request) => json(await sql.execute(request)));
  router.route("/db/query", ["GET", "POST"], async (request) => json(await sql.query(request)));
  router.route("/db/session", ["POST"], async (request) => json(await sql.openSession(request)));

  router.route("/objects", ["GET"], (request) => objects.all(request));
  router.route("/objects/:kind", ["GET"], (request) => objects.many(request));
  router.route("/objects/:kind/:namespace", ["GET"], (request) => objects.many(request));
  router.route("/objects/:kind/:namespace/:name", ["GET", "PUT", "DELETE"], (request) =>
    objects.one(request),
  );

  router.route("/status", ["GET"], ({ target }) => {
    const indent = new QueryString(target.query).flag("pretty") ? 4 : 0;
    return json(`${JSON.stringify(status(), null, indent)}\n`);
  });

  router.route("/readyz", ["GET"], ({ target }) => {
    const parameters = new QueryString(target.query);
    parameters.refuse("sync", "compare appliedIndex in /status instead");
    if (parameters.flag("noleader")) return text(200, "[+]node ok\n");
    const { isReady, lines } = readinessOf(status());
    return text(isReady ? 200 : 503, `${lines.join("\n")}\n`);
  });

  router.route("/livez", ["GET"], () => text(200, "[+]node ok\n"));
  return router;
}

function json(body: Answer["body"]): Answer {
  return { status: 200, headers: JSON_HEADERS, body };
}

function text(status: number, body: string): Answer {
  return { status, headers: TEXT_HEADERS, body };
}
