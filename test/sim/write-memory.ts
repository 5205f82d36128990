import { parseSegmentName } from "../../agent/log/segment-name.ts";
import type { Directory, DiskFile } from "../../agent/platform/directory.ts";

/** A place that was written, of one file. */
export interface WrittenPlace {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** How many of the newest writes are left alone: no log can tell damage to its last batch from a torn one. */
const SPARED = 3;
const REMEMBERED_MAX = 64;

/** Remembers where the log was written, so that the medium can go bad in a place that matters. */
export class WriteMemory {
  #writes: WrittenPlace[] = [];

  note(written: WrittenPlace): void {
    this.#writes.push(written);
    if (this.#writes.length > REMEMBERED_MAX) this.#writes.shift();
  }

  /** What was written to files that are there, and not lately. */
  oldPlaces(present: readonly string[]): readonly WrittenPlace[] {
    return this.#writes.filter((written) => present.includes(written.name) && !this.isSpared(written));
  }

  /** It was written lately, or a part of it was. */
  isSpared({ name, offset, length }: WrittenPlace): boolean {
    return this.#writes.slice(-SPARED).some((spared) => {
      const isBefore = spared.offset + spared.length <= offset;
      const isBehind = offset + length <= spared.offset;
      return spared.name === name && !isBefore && !isBehind;
    });
  }
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
      return parseSegmentName(name) === undefined ? file : remembering(file, name, memory);
    },
  };
}

function remembering(file: DiskFile, name: string, memory: WriteMemory): DiskFile {
  return {
    size: () => file.size(),
    read: (offset, length) => file.read(offset, length),
    sync: () => file.sync(),
    close: () => file.close(),
    write: (offset, bytes) => {
      memory.note({ name, offset, length: bytes.length });
      return file.write(offset, bytes);
    },
  };
}
