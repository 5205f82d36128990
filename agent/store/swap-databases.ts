import type { Directory } from "../platform/directory.ts";
import { readInstallMarker, writeInstallMarker } from "./install-marker.ts";
import { SNAPSHOT_FILES, sumsName } from "./snapshot.ts";
import { removeStaged, stagedName } from "./snapshot-staging.ts";
import type { LogPosition } from "./types.ts";

/** What SQLite keeps beside a database: of no use to another one, and ruinous (a write-ahead log names no database). */
const COMPANIONS = ["-wal", "-shm", "-journal"] as const;

/**
 * Puts the staged snapshot in the place of the databases, which nobody has open. Durable when it resolves. A crash
 * leaves the old state up to the first write of the marker and the new one after it, once `recoverInstall` has run.
 * Rejected: it is unknown which, and only `recoverInstall` may go on.
 */
export async function installStaged(directory: Directory, position: LogPosition): Promise<void> {
  await writeInstallMarker(directory, { phase: "swapping", position });
  await swapStaged(directory);
  await writeInstallMarker(directory, { phase: "swapped", position });
}

/**
 * At the start, before anything opens the databases: brings an installation to its end that a crash has cut, and
 * clears away what was staged in vain. Resolves with the position of a snapshot that was installed and not finished.
 */
export async function recoverInstall(directory: Directory): Promise<LogPosition | null> {
  const marker = await readInstallMarker(directory);
  if (marker?.phase === "swapping") {
    // mark: store: an installation was completed at the start
    await swapStaged(directory);
    await writeInstallMarker(directory, { phase: "swapped", position: marker.position });
  } else {
    await removeStaged(directory);
  }
  return marker?.position ?? null;
}

/** Idempotent: a database whose staged file is gone is the new one already. */
async function swapStaged(directory: Directory): Promise<void> {
  const names = await directory.list();
  const staged = SNAPSHOT_FILES.filter((name) => names.includes(stagedName(name)));
  for (const name of staged) {
    for (const companion of COMPANIONS) {
      if (names.includes(name + companion)) await directory.remove(name + companion);
    }
  }
  // Before the first rename: the new database must never stand beside the old one's write-ahead log.
  await directory.sync();
  for (const name of staged) {
    // The sums first: where they are gone, the database still says that there is something to be done.
    const sums = sumsName(stagedName(name));
    if (names.includes(sums)) await directory.rename(sums, sumsName(name));
    await directory.rename(stagedName(name), name);
  }
  await directory.sync();
}
