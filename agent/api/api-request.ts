import type { IncomingMessage, ServerResponse } from "node:http";
import { TrivetError } from "../platform/trivet-error.ts";
import type { RequestTarget } from "./request-target.ts";

/** One request, and where its answer goes. */
export interface ApiRequest {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly target: RequestTarget;
}

/** A host and perhaps a port, as in a URL; the host may be empty (RFC 9110 7.2). */
const HOST = /^(?:\[[\da-f:.]+\]|[^\s[\]:/?#@\\]*)(?::\d*)?$/i;

/** The host that the client means (RFC 9112 3.2); undefined if it names none, as HTTP/1.0 may. Throws `bad-request` if it names several, or nothing that could be one. */
export function hostOf({ incoming, target }: ApiRequest): string | undefined {
  const { host = [] } = incoming.headersDistinct;
  if (host.length > 1) throw new TrivetError("bad-request", "There is more than one Host header.");
  if (host.length === 0 && incoming.httpVersion !== "1.0") {
    throw new TrivetError("bad-request", "There is no Host header, which HTTP/1.1 needs.");
  }
  const named = target.authority ?? host[0];
  if (named !== undefined && !HOST.test(named)) {
    throw new TrivetError("bad-request", `${JSON.stringify(named)} is not the name of a host.`);
  }
  return named;
}
