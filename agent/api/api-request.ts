import type { HttpBindings } from "@hono/node-server";
import { TrivetError } from "../platform/trivet-error.ts";
import type { RequestTarget } from "./request-target.ts";

/** One request, and where its answer goes. */
export interface ApiRequest extends HttpBindings {
  readonly target: RequestTarget;
}

/** The host that the client means (RFC 9112 3.2); undefined if it names none. Throws `bad-request` if it names several. */
export function hostOf({ incoming, target }: ApiRequest): string | undefined {
  const { host = [] } = incoming.headersDistinct;
  if (host.length > 1) throw new TrivetError("bad-request", "There is more than one Host header.");
  return target.authority ?? host[0];
}
