import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Test } from "tap";
import type { ApiLimits } from "../../agent/api/api-limits.ts";
import type { ReadingPace } from "../../agent/api/reading-deadline.ts";
import { type ApiTimeouts, startApiServer } from "../../agent/api/start-api-server.ts";
import type { AgentStatus } from "../../agent/membership/agent-status.ts";
import { type Clock, systemClock } from "../../agent/platform/clock.ts";
import { createLineLogger } from "../../agent/platform/logger.ts";
import type { ObjectsService } from "../../agent/replica/objects-service.ts";
import type { SqlService } from "../../agent/replica/sql-service.ts";
import { MemorySqlService } from "./memory-sql-service.ts";
import { noObjects } from "./no-objects.ts";
import { sampleStatus } from "./sample-status.ts";

export const LIMITS: ApiLimits = {
  bodyBytesMax: 4 * 1024 * 1024,
  requestTimeoutMs: 10_000,
  queryTimeoutMs: 5_000,
  requestTimeoutMsMax: 60_000,
};

export interface Started {
  readonly url: string;
  readonly port: number;
  readonly log: string[];
  readonly sql: MemorySqlService;
  close(): Promise<void>;
}

/** An API on a port of its own, with a real database behind it unless the test brings its own services. */
export async function start(
  t: Test,
  options: {
    readonly sql?: SqlService;
    readonly objects?: ObjectsService;
    readonly clock?: Clock;
    readonly status?: () => AgentStatus;
    readonly port?: number;
    readonly timeouts?: ApiTimeouts;
    readonly pace?: ReadingPace;
  } = {},
): Promise<Started> {
  const log: string[] = [];
  const sql = new MemorySqlService();
  const server = await startApiServer({
    listen: { host: "127.0.0.1", port: options.port ?? 0 },
    sql: options.sql ?? sql,
    objects: options.objects ?? noObjects,
    status: options.status ?? sampleStatus,
    limits: LIMITS,
    logger: createLineLogger({ level: "info", journal: false, write: (line) => log.push(line) }),
    clock: options.clock ?? systemClock,
    ...(options.timeouts ? { timeouts: options.timeouts } : {}),
    ...(options.pace ? { pace: options.pace } : {}),
  });
  t.teardown(async () => {
    await server.close();
    sql.close();
  });
  return { url: server.url, port: Number(new URL(server.url).port), log, sql, close: () => server.close() };
}

export async function post(
  url: string,
  body: string | Uint8Array,
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(url, { method: "POST", body });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** Sends bytes as they are and reads until the server closes, or until `isEnough`. */
export async function talk(
  port: number,
  bytes: string,
  isEnough: (text: string) => boolean = () => false,
): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(bytes);
  return readUntil(socket, isEnough);
}

export async function readUntil(socket: Socket, isEnough: (text: string) => boolean): Promise<string> {
  let received = "";
  socket.setEncoding("latin1");
  for await (const chunk of socket) {
    received += chunk;
    if (isEnough(received)) break;
  }
  socket.destroy();
  return received;
}

export const statusOf = (response: string): number => Number(/^HTTP\/1.1 (\d+)/.exec(response)?.[1]);
export const bodyOf = (response: string): object =>
  JSON.parse(response.slice(response.indexOf("\r\n\r\n") + 4));
