import { createHash } from "node:crypto";

/**
 * The uid of an object that the put at position `nth` of the entry at `index` creates: the same on every node, of no other
 * object in this log, and because of the time hardly of one in another. A UUID of version 8 (RFC 9562 5.8) over SHA-256.
 */
export function createObjectUid(index: number, nth: number, timeMs: number): string {
  const bytes = createHash("sha256").update(`object ${index} ${nth} ${timeMs}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
