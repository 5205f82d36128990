import type { IncomingHttpHeaders } from "node:http";
import { TrivetError } from "../platform/trivet-error.ts";
import type { ObjectPrecondition } from "./object-types.ts";
import type { QueryString } from "./query-string.ts";

/**
 * The revision that a write is bound to (RFC 9110 13.1): `If-Match: "12"` or `?revision=12`; "any" for `If-Match: *`; 0 for
 * `If-None-Match: *` or `?revision=0`, where nothing may be there yet; null if the write is bound to nothing.
 */
export function preconditionOf(headers: IncomingHttpHeaders, parameters: QueryString): ObjectPrecondition {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  const revision = parameters.integer("revision", 0);
  const given = [match, noneMatch, revision].filter((value) => value !== undefined);
  if (given.length > 1) throw refuse("If-Match, If-None-Match and revision exclude one another");
  if (revision !== undefined) return revision;
  if (match === "*") return "any";
  if (match !== undefined) {
    const found = /^"([1-9]\d{0,15})"$/.exec(match)?.[1];
    if (found === undefined || !Number.isSafeInteger(Number(found)))
      throw refuse('If-Match must be * or the ETag of one revision, such as "12"');
    return Number(found);
  }
  if (noneMatch === undefined) return null;
  if (noneMatch !== "*") throw refuse("If-None-Match of a write must be *");
  return 0;
}

/** As `If-Match` takes it. */
export function etagOf(revision: number): string {
  return `"${revision}"`;
}

function refuse(reason: string): TrivetError {
  return new TrivetError("bad-parameter", `Cannot take the precondition: ${reason}.`);
}
