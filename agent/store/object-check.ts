import {
  OBJECT_BODY_BYTES_MAX,
  OBJECT_NAME_BYTES_MAX,
  OBJECT_WRITES_MAX,
  REQUEST_BYTES_MAX,
} from "./limits.ts";
import type { ObjectKey, ObjectWrite } from "./objects.ts";

export type ObjectCheck =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: "too-large" | "invalid-object"; readonly message: string };

/**
 * What may become part of the log: writes within their bounds. Checked before a command is proposed, never when it is
 * applied, where any writes that can be decoded have their result.
 */
export function checkObjectWrites(writes: readonly ObjectWrite[]): ObjectCheck {
  if (writes.length > OBJECT_WRITES_MAX) {
    return refuse(
      "too-large",
      `A request may have ${OBJECT_WRITES_MAX} writes; this one has ${writes.length}. Send several requests.`,
    );
  }
  const written = new Set<string>();
  let bytes = 0;
  for (const write of writes) {
    if (write.kind === "compact") continue;
    const refusal = checkKey(write.key);
    if (refusal !== null) return refusal;
    const body = write.kind === "put" ? write.body.byteLength : 0;
    if (body > OBJECT_BODY_BYTES_MAX) {
      return refuse(
        "too-large",
        `The body of an object may take ${OBJECT_BODY_BYTES_MAX} bytes; ${nameOf(write.key)} has ${body}. Split it.`,
      );
    }
    bytes += body;
    if (write.kind === "require") continue;
    const name = nameOf(write.key);
    if (written.has(name))
      return refuse("invalid-object", `A request may write an object once; ${name} is written twice.`);
    written.add(name);
  }
  if (bytes <= REQUEST_BYTES_MAX) return { ok: true };
  return refuse(
    "too-large",
    `The bodies of a request may take ${REQUEST_BYTES_MAX} bytes; these take ${bytes}. Send several requests.`,
  );
}

function checkKey(key: ObjectKey): ObjectCheck | null {
  const parts = [key.kind, key.namespace, key.name];
  if (parts.some((part) => Buffer.byteLength(part) > OBJECT_NAME_BYTES_MAX || part.includes("\0"))) {
    return refuse(
      "invalid-object",
      `Kind, namespace and name of an object are text of at most ${OBJECT_NAME_BYTES_MAX} bytes without NUL. Shorten them.`,
    );
  }
  if (key.kind === "" || key.name === "")
    return refuse("invalid-object", "Kind and name of an object may not be empty. Name it.");
  return null;
}

/** JSON, because no two keys have the same. */
function nameOf({ kind, namespace, name }: ObjectKey): string {
  return JSON.stringify([kind, namespace, name]);
}

function refuse(code: "too-large" | "invalid-object", message: string): ObjectCheck {
  return { ok: false, code, message };
}
