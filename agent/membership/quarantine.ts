import { access, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { DAMAGE_NOTE } from "./damage-note.ts";

/**
 * Where damaged data goes instead of being deleted: `<data>/quarantine/<slot>/`, as it was. A person may still get
 * something out of it, and the cluster does without.
 */
const QUARANTINE = "quarantine";
/** Copies of the data may be large: of those that are not needed any more, the newest are kept. */
const KEPT_MAX = 2;
const DIRECTORY_MODE = 0o700;

export const LOG_DATA = ["raft"] as const;
/** With what stands beside each file, and what a snapshot is received into. */
export const DATABASE_DATA = [
  "app.db",
  "app.db-wal",
  "app.db-shm",
  "app.db-sums",
  "state.db",
  "state.db-wal",
  "state.db-shm",
  "state.db-sums",
  "snapshot-install.json",
  "snapshot-app.db",
  "snapshot-app.db-sums",
  "snapshot-state.db",
  "snapshot-state.db-sums",
  // Last: until all of them are put by, they are the damaged ones.
  DAMAGE_NOTE,
] as const;

/** `slot` if there is none of that number yet; else one that is later than all. */
export async function freeSlot(dataPath: string, slot: number): Promise<number> {
  const slots = await slotsOf(dataPath);
  return slots.includes(slot) ? Math.max(...slots) + 1 : slot;
}

/**
 * Moves those of `names` that are in the data directory to the quarantine, durably. Slots are numbers, later ones larger; a
 * call with a slot that is there goes on with it, so that a crash in the middle is mended by calling again. Resolves with
 * the path of the slot.
 */
export async function moveToQuarantine(
  dataPath: string,
  slot: number,
  names: readonly string[],
): Promise<string> {
  const parent = join(dataPath, QUARANTINE);
  const path = join(parent, String(slot));
  await mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
  await syncDirectory(dataPath);
  await syncDirectory(parent);
  for (const name of names) {
    if (await isThere(join(dataPath, name))) await rename(join(dataPath, name), join(path, name));
  }
  // First where they are now: a power cut may show them twice, never nowhere.
  await syncDirectory(path);
  await syncDirectory(dataPath);
  return path;
}

/**
 * Removes all but the newest slots. To be called only while the node has a whole copy that it trusts: until then each of them may
 * hold the only one that is left of something, also where a later one was damaged, too.
 */
export async function thinOutQuarantine(dataPath: string): Promise<void> {
  const old = (await slotsOf(dataPath)).toSorted((a, b) => b - a).slice(KEPT_MAX);
  for (const each of old) await rm(join(dataPath, QUARANTINE, String(each)), { recursive: true });
}

async function slotsOf(dataPath: string): Promise<readonly number[]> {
  const parent = join(dataPath, QUARANTINE);
  if (!(await isThere(parent))) return [];
  return (await readdir(parent)).filter((name) => /^\d+$/.test(name)).map(Number);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
