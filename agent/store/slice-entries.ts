import { SLICE_BYTES_MAX, SLICE_ENTRIES_MAX } from "./limits.ts";
import type { StoreEntry } from "./types.ts";

/** `entries` in pieces for one message each; an entry larger than the limit makes a piece of its own. */
export function sliceEntries(entries: readonly StoreEntry[]): readonly (readonly StoreEntry[])[] {
  const slices: StoreEntry[][] = [];
  let slice: StoreEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entry.command?.byteLength ?? 0;
    if (slice.length > 0 && (slice.length === SLICE_ENTRIES_MAX || bytes + size > SLICE_BYTES_MAX)) {
      slices.push(slice);
      slice = [];
      bytes = 0;
    }
    slice.push(entry);
    bytes += size;
  }
  if (slice.length > 0) slices.push(slice);
  return slices;
}

/** Bytes of their commands together. */
export function commandBytes(entries: readonly StoreEntry[]): number {
  return entries.reduce((sum, { command }) => sum + (command?.byteLength ?? 0), 0);
}
