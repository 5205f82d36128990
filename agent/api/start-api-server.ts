import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIPv6 } from "node:net";
import type { AgentStatus } from "../membership/agent-status.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { ObjectsService } from "../replica/objects-service.ts";
import type { SqlService } from "../replica/sql-service.ts";
import { answerRequest } from "./answer-request.ts";
import type { ApiLimits } from "./api-limits.ts";
import { createRouter } from "./create-router.ts";
import { ObjectHandler } from "./object-handler.ts";
import { READING_PACE, type ReadingPace } from "./reading-deadline.ts";
import { HEADER_BYTES_MAX, refuseGarbage, refuseTunnel } from "./refuse-garbage.ts";
import { RequestBudget } from "./request-budget.ts";
import { createRequestGuard } from "./request-guard.ts";
import { RequestTurns } from "./request-turns.ts";
import { type Router, refuseExpectation } from "./router.ts";
import { SqlHandler } from "./sql-handler.ts";
import { UnsentAnswers } from "./unsent-answers.ts";
import { WatchHandler } from "./watch-handler.ts";

export interface ApiServer {
  /** Base URL, with the port that was really taken: `http://127.0.0.1:4001`. */
  readonly url: string;
  /** Takes no new connections, lets running requests end, cuts what is left after 3 s. Idempotent. */
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 1_000;
const REQUESTS_MAX = 2_000;
const BODY_BYTES_TOTAL_MAX = 64 * 1024 * 1024;
const CLOSE_DEADLINE_MS = 3_000;

/** How long a connection may take, milliseconds. Slow senders (slowloris) are cut, as are idle connections. */
export interface ApiTimeouts {
  readonly headersTimeout: number;
  /** For the whole request, body included. */
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  /** How often the first two are looked at. */
  readonly connectionsCheckingInterval: number;
}

const TIMEOUTS: ApiTimeouts = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
};
/** A connection on which nothing moves for the longest request and this is dead: a client that does not read. */
const SILENCE_MS = 30_000;

/**
 * Starts the HTTP API. Rejects with `port-in-use`, `address-unavailable`, `port-not-permitted` or `listen-failed`.
 * `listen.port` 0 takes any free port.
 */
export async function startApiServer(options: {
  readonly listen: { readonly host: string; readonly port: number };
  readonly sql: SqlService;
  readonly objects: ObjectsService;
  readonly status: () => AgentStatus;
  readonly limits: ApiLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timeouts?: ApiTimeouts;
  readonly pace?: ReadingPace;
}): Promise<ApiServer> {
  const { listen, status, limits, logger, clock, timeouts = TIMEOUTS, pace = READING_PACE } = options;
  const budget = new RequestBudget({ requestsMax: REQUESTS_MAX, bytesMax: BODY_BYTES_TOTAL_MAX });
  const unsent = new UnsentAnswers();
  // Not by Node, which would answer without a code: `hostOf` requires it.
  const server = createServer({ ...timeouts, maxHeaderSize: HEADER_BYTES_MAX, requireHostHeader: false });
  server.setTimeout(limits.requestTimeoutMsMax + SILENCE_MS);
  server.maxConnections = CONNECTIONS_MAX;

  const address = await bind(server, listen);
  const watches = new WatchHandler({ objects: options.objects, limits, clock, logger });
  const objects = new ObjectHandler({ objects: options.objects, limits, budget, unsent, clock, watches });
  const router = createRouter({
    objects,
    sql: new SqlHandler({ sql: options.sql, limits, budget, unsent, clock }),
    status,
  });
  const guard = createRequestGuard({
    host: listen.host,
    isLoopback: /^(?:127\.|::1$)/.test(address.ip),
  });
  const handle = (
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    to: Pick<Router, "answer"> = router,
  ): void => {
    unsent.track(outgoing);
    if (!server.listening) outgoing.setHeader("connection", "close");
    void answerRequest(incoming, outgoing, { router: to, guard, logger, unsent, clock, pace });
  };
  const turns = new RequestTurns();
  server.on("request", (incoming, outgoing) => {
    turns.wait(incoming, outgoing, () => handle(incoming, outgoing));
  });
  // Answer before a refused body is sent (RFC 9110 10.1.1); Node's default asks for it unseen.
  server.on("checkContinue", (incoming, outgoing) => {
    turns.wait(incoming, outgoing, () => {
      if (Number(incoming.headers["content-length"] ?? 0) <= limits.bodyBytesMax) outgoing.writeContinue();
      handle(incoming, outgoing);
    });
  });
  server.on("checkExpectation", (incoming, outgoing) => {
    turns.wait(incoming, outgoing, () => handle(incoming, outgoing, { answer: refuseExpectation }));
  });
  server.on("clientError", (error, socket) => refuseGarbage(error, socket, unsent.answerOn(socket)));
  server.on("connect", (_incoming, socket) => refuseTunnel(socket, unsent.answerOn(socket)));

  let closed: Promise<void> | undefined;
  const host = isIPv6(listen.host) ? `[${listen.host}]` : listen.host;
  return {
    url: `http://${host}:${address.port}`,
    close() {
      watches.stop();
      closed ??= close(server, unsent.running, clock);
      return closed;
    },
  };
}

function bind(
  server: Server,
  listen: { readonly host: string; readonly port: number },
): Promise<{ readonly ip: string; readonly port: number }> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError(listen, error));
    server.once("error", onError);
    server.listen({ host: listen.host, port: listen.port }, () => {
      server.off("error", onError);
      const address = server.address();
      if (address === null || typeof address === "string") return onError(new Error("no TCP address"));
      resolve({ ip: address.address, port: address.port });
    });
  });
}

function listenError(
  listen: { readonly host: string; readonly port: number },
  cause: NodeJS.ErrnoException,
): TrivetError {
  const what = `Cannot serve the API on ${listen.host}:${listen.port}`;
  const choose = "choose another address with --http HOST:PORT";
  switch (cause.code) {
    case "EADDRINUSE":
      return new TrivetError(
        "port-in-use",
        `${what}: another program has this port. Stop it, or ${choose}.`,
        { cause },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new TrivetError("address-unavailable", `${what}: this machine has no such address; ${choose}.`, {
        cause,
      });
    case "EACCES":
      return new TrivetError("port-not-permitted", `${what}: this user may not take the port; ${choose}.`, {
        cause,
      });
    default:
      return new TrivetError("listen-failed", `${what}: ${cause.message}.`, { cause });
  }
}

function close(server: Server, running: Iterable<ServerResponse>, clock: Clock): Promise<void> {
  // Connections that are idle now are closed at once (Node 19); these must not stay open after their answer.
  for (const outgoing of running) if (!outgoing.headersSent) outgoing.setHeader("connection", "close");
  return new Promise((resolve) => {
    const timer = clock.setTimer(CLOSE_DEADLINE_MS, () => server.closeAllConnections());
    server.close(() => {
      timer.cancel();
      resolve();
    });
  });
}
