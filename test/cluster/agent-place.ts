import { existsSync } from "node:fs";

export interface PlaceRequest {
  readonly method: "GET" | "POST";
  /** JSON. */
  readonly body?: string;
  readonly deadlineMs: number;
}

export interface PlaceAnswer {
  readonly status: number;
  readonly body: string;
}

/** Where an agent runs, and how one gets there from this process. */
export interface AgentPlace {
  /** The address that its broker listens on. */
  readonly address: string;
  /** The command that starts another one there. */
  readonly enter: readonly string[];
  /** Rejects if there is no answer within the deadline. */
  request(url: string, request: PlaceRequest): Promise<PlaceAnswer>;
}

/** The command that starts another one such that it is killed when this process is gone, however that ends; empty where there is none. */
export const LEASH: readonly string[] = existsSync("/usr/bin/setpriv")
  ? ["/usr/bin/setpriv", "--pdeathsig", "KILL"]
  : [];

/** This machine's loopback. */
export const HERE: AgentPlace = { address: "127.0.0.1", enter: LEASH, request: requestHere };

export async function requestHere(url: string, request: PlaceRequest): Promise<PlaceAnswer> {
  const { method, body, deadlineMs } = request;
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
    signal: AbortSignal.timeout(deadlineMs),
  });
  return { status: response.status, body: await response.text() };
}
