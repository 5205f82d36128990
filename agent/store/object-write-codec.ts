import { isWholeNumber, malformedCommand, requireField } from "./malformed-command.ts";
import type { ObjectKey, ObjectPrecondition, ObjectWrite } from "./objects.ts";

/**
 * A write of objects within a command:
 *
 *     [kind = 1 (put), object kind, namespace, name, revision or null, body]
 *     [kind = 2 (delete), object kind, namespace, name, revision or null]
 *     [kind = 3 (require), object kind, namespace, name, revision]
 *     [kind = 4 (compact), revision]
 *
 * The revision of the first three is true where any will do.
 */
const PUT = 1;
const DELETE = 2;
const REQUIRE = 3;
const COMPACT = 4;

const WRONG_REVISION = "a revision is not a whole number";

export function encodeObjectWrite(write: ObjectWrite): unknown {
  const revision = write.revision === "any" ? true : write.revision;
  requireField(revision === null || revision === true || isWholeNumber(revision), WRONG_REVISION);
  switch (write.kind) {
    case "put":
      return [PUT, ...keyFields(write.key), revision, write.body];
    case "delete":
      return [DELETE, ...keyFields(write.key), revision];
    case "require":
      return [REQUIRE, ...keyFields(write.key), revision];
    case "compact":
      return [COMPACT, revision];
  }
}

export function decodeObjectWrite(bytes: unknown): ObjectWrite {
  requireField(Array.isArray(bytes), "a write is not an array");
  const [kind, ...fields]: readonly unknown[] = bytes;
  switch (kind) {
    case PUT: {
      const [revision, body] = fields.slice(3);
      requireField(body instanceof Uint8Array, "a body is not bytes");
      return { kind: "put", key: decodeKey(fields), body, revision: decodePrecondition(revision) };
    }
    case DELETE:
      return { kind: "delete", key: decodeKey(fields), revision: decodePrecondition(fields[3]) };
    case REQUIRE:
      return { kind: "require", key: decodeKey(fields), revision: decodeWanted(fields[3]) };
    case COMPACT:
      return { kind: "compact", revision: decodeRevision(fields[0]) };
    default:
      throw malformedCommand("the kind of a write is unknown: a newer version wrote it");
  }
}

function keyFields({ kind, namespace, name }: ObjectKey): readonly string[] {
  return [kind, namespace, name];
}

function decodeKey([kind, namespace, name]: readonly unknown[]): ObjectKey {
  requireField(
    typeof kind === "string" && typeof namespace === "string" && typeof name === "string",
    "the name of an object is not text",
  );
  return { kind, namespace, name };
}

function decodePrecondition(revision: unknown): ObjectPrecondition {
  return revision === null ? null : decodeWanted(revision);
}

function decodeWanted(revision: unknown): Exclude<ObjectPrecondition, null> {
  return revision === true ? "any" : decodeRevision(revision);
}

function decodeRevision(revision: unknown): number {
  requireField(isWholeNumber(revision), WRONG_REVISION);
  return revision;
}
