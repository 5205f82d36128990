import { TrivetError } from "../platform/trivet-error.ts";

/** Narrowing of decoded CBOR from other nodes. Each throws `malformed-datagram` if the value is of another type. */

export function asArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed("a list", value);
  return value;
}

/** A non-negative integer that a double holds exactly. */
export function asInteger(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw malformed("an integer", value);
  return value;
}

export function asString(value: unknown): string {
  if (typeof value !== "string") throw malformed("a string", value);
  return value;
}

export function asBoolean(value: unknown): boolean {
  if (typeof value !== "boolean") throw malformed("true or false", value);
  return value;
}

/** A copy: what is kept must not pin the whole datagram that it came in. */
export function asBytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed("bytes", value);
  return Uint8Array.prototype.slice.call(value);
}

export function malformed(expected: string, found: unknown): TrivetError {
  return new TrivetError(
    "malformed-datagram",
    `A datagram holds ${typeof found} where ${expected} is expected: drop it, and check that all nodes run compatible versions.`,
  );
}
