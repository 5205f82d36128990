import { entryBytes } from "./slice-entries.ts";
import type { StoreEntry } from "./types.ts";

/**
 * Entries in two buffers that move to the worker instead of being copied there. (A copied `Uint8Array` takes the
 * whole buffer under it along, and that of an entry may be a segment of the log.)
 */
export interface PackedEntries {
  /** Index, term, and length of the command and of the configuration (-1 for none) of each entry. */
  readonly positions: Float64Array<ArrayBuffer>;
  /** The command and the configuration of each entry, one after another. */
  readonly contents: Uint8Array<ArrayBuffer>;
}

const FIELDS = 4;
const NONE = -1;

export function packEntries(entries: readonly StoreEntry[]): PackedEntries {
  const positions = new Float64Array(entries.length * FIELDS);
  const contents = new Uint8Array(entryBytes(entries));
  let end = 0;
  for (const [nth, { index, term, command, configuration }] of entries.entries()) {
    const lengths = [command?.byteLength ?? NONE, configuration?.byteLength ?? NONE];
    positions.set([index, term, ...lengths], nth * FIELDS);
    for (const part of [command, configuration]) {
      if (part === null || part === undefined) continue;
      contents.set(part, end);
      end += part.byteLength;
    }
  }
  return { positions, contents };
}

export function* unpackEntries({
  positions,
  contents,
}: PackedEntries): Generator<StoreEntry, void, undefined> {
  let start = 0;
  const take = (length: number) => {
    const end = start + length;
    const part = contents.subarray(start, end);
    start = end;
    return part;
  };
  for (let at = 0; at < positions.length; at += FIELDS) {
    const [index = 0, term = 0, ofCommand = NONE, ofConfiguration = NONE] = positions.subarray(
      at,
      at + FIELDS,
    );
    const command = ofCommand === NONE ? null : take(ofCommand);
    yield { index, term, command, ...(ofConfiguration !== NONE && { configuration: take(ofConfiguration) }) };
  }
}
