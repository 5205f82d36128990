import { mapEach } from "./map-each.ts";
import { formatAfter } from "./object-path.ts";
import type { ObjectChange, ObjectHead, ObjectList, StoredObject } from "./object-types.ts";
import { TextPieces } from "./text-pieces.ts";
import { type JsonValue, writeJson, writeJsonTo } from "./write-json.ts";

/** `{"revision", "objects", "after"}`; `after` is there if there may be more, for the parameter of that name. */
export function encodeObjectList(list: ObjectList, indent: number): TextPieces {
  const last = list.isComplete ? undefined : list.objects.at(-1);
  const body = {
    revision: list.revision,
    objects: mapEach(list.objects, objectToJson),
    after: last === undefined ? undefined : formatAfter(last),
  };
  const text = new TextPieces();
  writeJsonTo(text, body, indent);
  text.add("\n");
  return text;
}

/** One line of a watch: `{"revision", "events": [{"type", "object"}]}`. */
export function encodeObjectChange({ revision, events }: ObjectChange): string {
  const list = events.map(({ type, object }) => ({ type, object: objectToJson(object) }));
  return `${writeJson({ revision, events: list })}\n`;
}

/** The body is base64: it may be any bytes. What was deleted has none. */
function objectToJson(object: StoredObject | ObjectHead): JsonValue {
  const { kind, namespace, name, uid, revision, createdRevision } = object;
  const body = "body" in object ? Buffer.from(object.body).toString("base64") : undefined;
  return { kind, namespace, name, uid, revision, createdRevision, body };
}
