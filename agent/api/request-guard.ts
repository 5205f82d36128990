import { TrivetError } from "../platform/trivet-error.ts";

/**
 * Keeps web pages away from an API that trusts whoever can reach it. A page of another site may send requests to
 * 127.0.0.1, and by DNS rebinding even read the answers; but then the browser names that other site in Host or
 * Origin. Programs name the address that they connect to.
 *
 * Returns a check that throws `foreign-host` or `foreign-origin`. Host is checked on loopback listeners only:
 * elsewhere a node cannot know all of its names.
 */
export function createRequestGuard(listen: {
  readonly host: string;
  readonly isLoopback: boolean;
}): (named: { readonly host?: string | undefined; readonly origin?: string | undefined }) => void {
  const hosts = new Set(["localhost", "127.0.0.1", "::1", listen.host.toLowerCase()]);
  return ({ host, origin }) => {
    // Only HTTP/1.0 has no Host, and no browser speaks it.
    if (host !== undefined && listen.isLoopback && !hosts.has(nameOf(host))) {
      const names = [...hosts].join(", ");
      throw new TrivetError(
        "foreign-host",
        `This API answers to ${names} only, not to ${JSON.stringify(host)}.`,
      );
    }
    if (origin !== undefined && origin.toLowerCase() !== `http://${host?.toLowerCase()}`) {
      throw new TrivetError("foreign-origin", `Pages of ${JSON.stringify(origin)} may not use this API.`);
    }
  };
}

/** The name in a Host header (RFC 9110 7.2), without port and brackets. */
function nameOf(host: string): string {
  return host
    .toLowerCase()
    .replace(/:\d*$/, "")
    .replace(/^\[(.*)\]$/, "$1");
}
