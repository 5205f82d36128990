import { SLICE_BYTES_MAX, SLICE_ENTRIES_MAX } from "./limits.ts";
import type { StoreEntry } from "./types.ts";

/** `entries` in pieces for one message each; an entry larger than the limit makes a piece of its own. */
export function sliceEntries(entries: readonly StoreEntry[]): readonly (readonly StoreEntry[])[] {
  const slices: StoreEntry[][] = [];
  let slice: StoreEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = entryBytes([entry]);
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

/** Bytes of their commands and configurations together. */
export function entryBytes(entries: readonly StoreEntry[]): number {
  let bytes = 0;
  for (const { command, configuration } of entries) {
    bytes += (command?.byteLength ?? 0) + (configuration?.byteLength ?? 0);
  }
  return bytes;
}
