import type { StoreEntry } from "./types.ts";

/**
 * Entries in two buffers that move to the worker instead of being copied there. (A copied `Uint8Array` takes the
 * whole buffer under it along, and that of an entry may be a segment of the log.)
 */
export interface PackedEntries {
  /** Index, term, and length of the command (-1 for null) of each entry. */
  readonly positions: Float64Array<ArrayBuffer>;
  /** The commands, one after another. */
  readonly commands: Uint8Array<ArrayBuffer>;
}

const FIELDS = 3;

export function packEntries(entries: readonly StoreEntry[]): PackedEntries {
  const positions = new Float64Array(entries.length * FIELDS);
  const commands = new Uint8Array(entries.reduce((sum, { command }) => sum + (command?.byteLength ?? 0), 0));
  let end = 0;
  for (const [nth, { index, term, command }] of entries.entries()) {
    positions.set([index, term, command?.byteLength ?? -1], nth * FIELDS);
    if (command === null) continue;
    commands.set(command, end);
    end += command.byteLength;
  }
  return { positions, commands };
}

export function* unpackEntries({
  positions,
  commands,
}: PackedEntries): Generator<StoreEntry, void, undefined> {
  let start = 0;
  for (let at = 0; at < positions.length; at += FIELDS) {
    const [index = 0, term = 0, length = -1] = positions.subarray(at, at + FIELDS);
    const end = start + Math.max(length, 0);
    yield { index, term, command: length < 0 ? null : commands.subarray(start, end) };
    start = end;
  }
}
