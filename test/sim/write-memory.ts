import { FRAME_HEADER_BYTES, readFrameHeader } from "../../agent/log/record-frame.ts";
import { parseSegmentName } from "../../agent/log/segment-name.ts";
import type { Directory, DiskFile } from "../../agent/platform/directory.ts";

/** A place that was written, of one file. */
export interface WrittenPlace {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** So many of the newest batches are late ones: no log can tell damage to its last one from a torn one. */
const LATE = 3;
const REMEMBERED_MAX = 64;

/** Remembers where batches of the log are, so that the medium can go bad in a place that matters. */
export class WriteMemory {
  /** Oldest first; no two of them overlap. */
  #writes: WrittenPlace[] = [];

  /** What it takes the place of is gone: a batch that each start writes again must not pass for several. */
  note(written: WrittenPlace): void {
    this.#writes = this.#writes.filter((earlier) => !overlap(earlier, written));
    this.#writes.push(written);
    if (this.#writes.length > REMEMBERED_MAX) this.#writes.shift();
  }

  /** What was written to files that are there, and not lately. */
  oldPlaces(present: readonly string[]): readonly WrittenPlace[] {
    return this.#writes.filter((written) => present.includes(written.name) && !this.isLate(written));
  }

  /** What was written lately to files that are there, oldest first. */
  latePlaces(present: readonly string[]): readonly WrittenPlace[] {
    return this.#writes.slice(-LATE).filter(({ name }) => present.includes(name));
  }

  /** It was written lately, or a part of it was. */
  isLate(place: WrittenPlace): boolean {
    return this.#writes.slice(-LATE).some((late) => overlap(late, place));
  }
}

function overlap(one: WrittenPlace, other: WrittenPlace): boolean {
  const isBefore = one.offset + one.length <= other.offset;
  const isBehind = other.offset + other.length <= one.offset;
  return one.name === other.name && !isBefore && !isBehind;
}

/** `directory`, with every write of a batch of the log told to `memory`. */
export function rememberWrites(directory: Directory, memory: WriteMemory): Directory {
  return {
    path: directory.path,
    list: () => directory.list(),
    rename: (from, to) => directory.rename(from, to),
    remove: (name) => directory.remove(name),
    sync: () => directory.sync(),
    open: async (name) => {
      const file = await directory.open(name);
      const segment = parseSegmentName(name);
      return segment === undefined ? file : remembering(file, name, segment, memory);
    },
  };
}

function remembering(file: DiskFile, name: string, segment: number, memory: WriteMemory): DiskFile {
  return {
    size: () => file.size(),
    read: (offset, length) => file.read(offset, length),
    sync: () => file.sync(),
    close: () => file.close(),
    write: (offset, bytes) => {
      // The zeros that make a segment longer, or wipe a torn batch, hold nothing: what will is noted when it comes.
      const head = Buffer.from(bytes.subarray(0, FRAME_HEADER_BYTES));
      const isBatch = readFrameHeader(head, 0, segment) !== undefined;
      if (isBatch) memory.note({ name, offset, length: bytes.length });
      return file.write(offset, bytes);
    },
  };
}
