import { DurableLog } from "../../agent/log/durable-log.ts";
import type { LogContent } from "../../agent/log/log-types.ts";
import type { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { StorePositions } from "../../agent/replica/one-history.ts";
import type { SimRandom } from "./sim-random.ts";
import type { WriteMemory, WrittenPlace } from "./write-memory.ts";

/** What a medium does to a write that it has acknowledged and synced. */
export const MEDIUM_FAULTS = [
  /** A bit of it flips. */
  "rot",
  /** It never arrived, and neither did those behind it where nobody but the databases tells of them. */
  "lost",
  /** It arrived in another place, and is missing in its own. */
  "misdirected",
] as const;
export type MediumFault = (typeof MEDIUM_FAULTS)[number];

const SILENT = { log: () => undefined };

export interface MediumDamage {
  readonly disk: MemoryDirectory;
  readonly writes: WriteMemory;
  readonly fault: MediumFault;
  readonly random: SimRandom;
  /** Null where they cannot be read. */
  readonly databases: StorePositions | null;
}

/**
 * Damages one of the writes of a log: a late one where the databases show that it is missing, which is seldom, else an old one. All
 * other late ones are left alone: nobody on this node could find out. To be called while no process uses the disk. True if it was
 * a late one.
 */
export async function damageMedium(damage: MediumDamage): Promise<boolean> {
  const { disk, writes, fault, random } = damage;
  const present = await disk.list();
  const late = writes.latePlaces(present);
  const told = await toldPlaces(damage, late);
  const isLate = told.length > 0;
  const places = isLate ? told : writes.oldPlaces(present);
  if (places.length === 0) return false;
  const place = random.pick(places);
  switch (fault) {
    case "rot":
      disk.flipBit(place.name, place.offset + random.below(place.length), random.below(8));
      break;
    case "lost":
      // Where a segment is new there were zeros.
      for (const lost of isLate ? late.slice(late.indexOf(place)) : [place])
        await overwrite(disk, lost, Buffer.alloc(lost.length));
      break;
    case "misdirected": {
      const bytes = await readPlace(disk, place);
      const { name } = random.pick(places);
      const wrong = { ...place, name, offset: random.below(await sizeOf(disk, name)) & ~7 };
      await overwrite(disk, place, Buffer.alloc(place.length));
      if (!writes.isLate(wrong)) await overwrite(disk, wrong, bytes);
    }
  }
  return isLate;
}

/** Those of `late`, which are the newest writes, without which the log would end before what the databases hold. */
async function toldPlaces(
  { disk, databases }: MediumDamage,
  late: readonly WrittenPlace[],
): Promise<readonly WrittenPlace[]> {
  const told: WrittenPlace[] = [];
  const shortened = disk.copy();
  for (const place of databases === null ? [] : late.toReversed()) {
    await overwrite(shortened, place, Buffer.alloc(place.length));
    const content = await contentOf(shortened);
    if (databases !== null && content !== null && isMissing(databases, content)) told.push(place);
  }
  return told;
}

/** Null if it is damaged already. */
async function contentOf(disk: MemoryDirectory): Promise<LogContent | null> {
  try {
    return (await DurableLog.read({ directory: disk, logger: SILENT })).content;
  } catch (error) {
    if (!isTrivetError(error, "log-corrupt")) throw error;
    return null;
  }
}

/** Not by the agent's own judgement, which is under test. */
function isMissing({ newest, pendingInstall }: StorePositions, { base, entries }: LogContent): boolean {
  // What came with a snapshot need not be in the log yet.
  if (newest.index <= base.index || newest.index === pendingInstall?.index) return false;
  return entries[newest.index - base.index - 1]?.term !== newest.term;
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
