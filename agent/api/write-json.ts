/** What `writeJson` takes: JSON's values, and BigInt. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/**
 * JSON text of `value`, with integers of any size as exact number text. Keys whose value is undefined are left
 * out. Infinities, which SQLite has and JSON lacks, are written as SQLite's own JSON functions do: 9e999.
 *
 * `indent`: spaces per level, 0 for one line.
 */
export function writeJson(value: JsonValue, indent = 0, level = 0): string {
  switch (typeof value) {
    case "number":
      if (Number.isFinite(value)) return String(value === 0 ? 0 : value);
      return Number.isNaN(value) ? "null" : `${value < 0 ? "-" : ""}9e999`;
    case "bigint":
      return value.toString();
    case "object":
      break;
    default:
      return JSON.stringify(value);
  }
  if (value === null) return "null";
  if (isArray(value)) {
    const items = value.map((item) => writeJson(item, indent, level + 1));
    return wrap("[", items, "]", indent, level);
  }
  const members: string[] = [];
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    const separator = indent > 0 ? ": " : ":";
    members.push(`${JSON.stringify(key)}${separator}${writeJson(member, indent, level + 1)}`);
  }
  return wrap("{", members, "}", indent, level);
}

function wrap(open: string, parts: readonly string[], close: string, indent: number, level: number): string {
  if (indent === 0 || parts.length === 0) return `${open}${parts.join(",")}${close}`;
  const outer = `\n${" ".repeat(indent * level)}`;
  const inner = `\n${" ".repeat(indent * (level + 1))}`;
  return `${open}${inner}${parts.join(`,${inner}`)}${outer}${close}`;
}

/** `Array.isArray` does not narrow readonly arrays. */
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
