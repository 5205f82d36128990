import { TrivetError } from "../platform/trivet-error.ts";
import type { ObjectFilter } from "../replica/objects-service.ts";
import type { ObjectKey } from "./object-types.ts";
import { decodePathPart, type RequestTarget } from "./request-target.ts";

/** How a path spells the empty namespace, which would make two slashes in a row. */
const NO_NAMESPACE = "-";

/** What `/objects`, `/objects/KIND`, `/objects/KIND/NAMESPACE` or `/objects/KIND/NAMESPACE/NAME` stands for. */
export function parseObjectPath({ segments }: RequestTarget): ObjectFilter {
  const [kind, namespace, name] = segments.slice(1);
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(namespace === undefined ? {} : { namespace: namespace === NO_NAMESPACE ? "" : namespace }),
    ...(name === undefined ? {} : { name }),
  };
}

/** Of a path down to the name. */
export function parseObjectKey(target: RequestTarget): ObjectKey {
  const { kind, namespace, name } = parseObjectPath(target);
  if (kind !== undefined && namespace !== undefined && name !== undefined) return { kind, namespace, name };
  throw new TrivetError("bad-parameter", "An object is named by /objects/KIND/NAMESPACE/NAME.");
}

/** The place after which a list goes on: `NAMESPACE/NAME`, percent-encoded as in a path. */
export function parseAfter(text: string): { readonly namespace: string; readonly name: string } {
  const [namespace, name, ...rest] = text.split("/").map(decodePathPart);
  if (namespace === undefined || name === undefined || rest.length > 0) {
    throw new TrivetError(
      "bad-parameter",
      "after must be NAMESPACE/NAME of the last object of the page before.",
    );
  }
  return { namespace: namespace === NO_NAMESPACE ? "" : namespace, name };
}

/** What `parseAfter` takes. */
export function formatAfter({
  namespace,
  name,
}: {
  readonly namespace: string;
  readonly name: string;
}): string {
  const first = namespace === "" ? NO_NAMESPACE : encodeURIComponent(namespace);
  return `${first}/${encodeURIComponent(name)}`;
}
