import type { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { SimRandom } from "./sim-random.ts";
import type { WriteMemory, WrittenPlace } from "./write-memory.ts";

/** What a medium does to a write that it has acknowledged and synced, and that was not the last one. */
export const MEDIUM_FAULTS = [
  /** A bit of it flips. */
  "rot",
  /** It never arrived. */
  "lost",
  /** It arrived in another place, and is missing in its own. */
  "misdirected",
] as const;
export type MediumFault = (typeof MEDIUM_FAULTS)[number];

/** Damages one of the old writes of a log. To be called while no process uses it. */
export async function damageMedium(
  disk: MemoryDirectory,
  writes: WriteMemory,
  fault: MediumFault,
  random: SimRandom,
): Promise<void> {
  const present = await disk.list();
  const old = writes.oldPlaces(present);
  if (old.length === 0) return;
  const place = random.pick(old);
  switch (fault) {
    case "rot":
      disk.flipBit(place.name, place.offset + random.below(place.length), random.below(8));
      return;
    case "lost":
      // Where a segment is new there were zeros.
      return overwrite(disk, place, Buffer.alloc(place.length));
    case "misdirected": {
      const bytes = await readPlace(disk, place);
      const { name } = random.pick(old);
      const wrong = { ...place, name, offset: random.below(await sizeOf(disk, name)) & ~7 };
      await overwrite(disk, place, Buffer.alloc(place.length));
      if (!writes.isSpared(wrong)) await overwrite(disk, wrong, bytes);
    }
  }
}

async function readPlace(disk: MemoryDirectory, { name, offset, length }: WrittenPlace): Promise<Buffer> {
  const file = await disk.open(name);
  const bytes = await file.read(offset, length);
  await file.close();
  return bytes;
}

async function sizeOf(disk: MemoryDirectory, name: string): Promise<number> {
  const file = await disk.open(name);
  const size = await file.size();
  await file.close();
  return size;
}

/** Durably, and never beyond the end of the file. */
async function overwrite(
  disk: MemoryDirectory,
  { name, offset }: WrittenPlace,
  bytes: Uint8Array,
): Promise<void> {
  const file = await disk.open(name);
  const room = (await file.size()) - offset;
  await file.write(offset, bytes.subarray(0, room));
  await file.sync();
  await file.close();
}
