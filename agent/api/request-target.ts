import { TrivetError } from "../platform/trivet-error.ts";

/**
 * The target of a request (RFC 9112 3.2), read once: the router, the check of the host and the handlers all go by this, so
 * that none of them sees another path than the others.
 */
export interface RequestTarget {
  /** Host and port of an absolute-form target, which the Host header then gives way to (RFC 9112 3.2.2). Else null. */
  readonly authority: string | null;
  /** What stands between the slashes, decoded. */
  readonly segments: readonly string[];
  /** The same segments again, each encoded in the one way that there is here. */
  readonly path: string;
  /** What stands behind the question mark, as it came. */
  readonly query: string;
}

const SHAPE = /^(?:https?:\/\/(?<authority>[^/?#@]+))?(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/i;

/** `text` is what stood in the request line. Throws `bad-request`, or `bad-parameter` for a path that names nothing. */
export function parseRequestTarget(text: string): RequestTarget {
  if (!/^[!-~]*$/.test(text)) throw badTarget("it has characters that must be percent-encoded");
  const { authority, path, query = "" } = SHAPE.exec(text)?.groups ?? {};
  // In the absolute form a path may be missing, and stands for the root (RFC 9110 4.2.3).
  if (path === undefined && authority === undefined) {
    throw badTarget("it must be a path, such as /status, or a whole URL, without a fragment");
  }
  const segments = (path ?? "/").slice(1).split("/").map(decodeSegment);
  return {
    authority: authority ?? null,
    segments,
    path: `/${segments.map(encodeURIComponent).join("/")}`,
    query,
  };
}

function decodeSegment(text: string): string {
  const segment = decodePathPart(text);
  // Clients and proxies resolve them, encoded or not (WHATWG URL): whatever they meant here, it was another path.
  if (segment === "." || segment === "..") {
    throw new TrivetError("bad-parameter", 'No part of a path may be "." or "..".');
  }
  return segment;
}

/** Percent-encoded UTF-8, as in a part of a path. */
export function decodePathPart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new TrivetError("bad-parameter", "The path is not percent-encoded UTF-8.", { cause });
  }
}

function badTarget(reason: string): TrivetError {
  return new TrivetError("bad-request", `The request target makes no sense: ${reason}.`);
}
