/** What `writeJson` takes: JSON's values, and BigInt. Any iterable but a string is an array, so that one may be made as it is written. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Iterable<JsonValue>
  | { readonly [key: string]: JsonValue | undefined };

/** Takes a text part by part. */
export interface TextSink {
  add(part: string): void;
}

/**
 * JSON text of `value`, with integers of any size as exact number text. Keys whose value is undefined are left
 * out. Infinities, which SQLite has and JSON lacks, are written as SQLite's own JSON functions do: 9e999.
 *
 * `indent`: spaces per level, 0 for one line.
 */
export function writeJson(value: JsonValue, indent = 0): string {
  let text = "";
  const add = (part: string): void => {
    text += part;
  };
  writeJsonTo({ add }, value, indent);
  return text;
}

/** The same, for a text that need not be in one piece. */
export function writeJsonTo(sink: TextSink, value: JsonValue, indent = 0, level = 0): void {
  if (value === null || typeof value !== "object") {
    sink.add(writeScalar(value));
    return;
  }
  const inner = indent === 0 ? "" : `\n${" ".repeat(indent * (level + 1))}`;
  const outer = indent === 0 ? "" : `\n${" ".repeat(indent * level)}`;
  let count = 0;
  if (isIterable(value)) {
    for (const item of value) {
      sink.add(`${count++ === 0 ? "[" : ","}${inner}`);
      writeJsonTo(sink, item, indent, level + 1);
    }
    sink.add(count === 0 ? "[]" : `${outer}]`);
    return;
  }
  const separator = indent === 0 ? ":" : ": ";
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    sink.add(`${count++ === 0 ? "{" : ","}${inner}${JSON.stringify(key)}${separator}`);
    writeJsonTo(sink, member, indent, level + 1);
  }
  sink.add(count === 0 ? "{}" : `${outer}}`);
}

function writeScalar(value: null | boolean | number | bigint | string): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "number") return JSON.stringify(value);
  if (Number.isFinite(value)) return String(value === 0 ? 0 : value);
  return Number.isNaN(value) ? "null" : `${value < 0 ? "-" : ""}9e999`;
}

function isIterable(value: object): value is Iterable<JsonValue> {
  return Symbol.iterator in value;
}
