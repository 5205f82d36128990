import { parseSegmentName } from "../../agent/log/segment-name.ts";
import type { Directory, DiskFile } from "../../agent/platform/directory.ts";
import type { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { SimRandom } from "./sim-random.ts";

interface Written {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** How many of the newest writes are left alone: no log can tell damage to its last batch from a torn one. */
const SPARED = 3;
const REMEMBERED_MAX = 64;

/** Remembers where the log was written, so that the medium can go bad in a place that matters. */
export class WriteMemory {
  #writes: Written[] = [];

  note(written: Written): void {
    this.#writes.push(written);
    if (this.#writes.length > REMEMBERED_MAX) this.#writes.shift();
  }

  /** Flips a bit of something that was written, but not last. False if there is nothing. */
  rot(disk: MemoryDirectory, random: SimRandom, present: ReadonlySet<string>): boolean {
    const spared = this.#writes.slice(-SPARED);
    const isSpared = ({ name, offset }: Written) =>
      spared.some((other) => other.name === name && other.offset === offset);
    const old = this.#writes.filter((written) => present.has(written.name) && !isSpared(written));
    if (old.length === 0) return false;
    const { name, offset, length } = random.pick(old);
    disk.flipBit(name, offset + random.below(length), random.below(8));
    return true;
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
