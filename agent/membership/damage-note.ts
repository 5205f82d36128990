import { readWholeFile, replaceWholeFile } from "../platform/atomic-file.ts";
import type { Directory } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";

/**
 * Says that the databases beside it were found to be damaged while they were at work. Whoever opens them may not notice: only small
 * ones are looked at as a whole, and only after a crash. It goes to quarantine with them.
 */
export const DAMAGE_NOTE = "databases-damaged.txt";

/** Of the databases; null if nothing is noted. */
export async function readDamageNote(directory: Directory): Promise<TrivetError | null> {
  const bytes = await readWholeFile(directory, DAMAGE_NOTE);
  return bytes === null ? null : notedDamage(directory, bytes.toString("utf8").trim());
}

/** Durable when it resolves, with what `readDamageNote` reads from then on. */
export async function writeDamageNote(directory: Directory, reason: string): Promise<TrivetError> {
  await replaceWholeFile(directory, DAMAGE_NOTE, Buffer.from(`${reason}\n`));
  return notedDamage(directory, reason);
}

function notedDamage(directory: Directory, reason: string): TrivetError {
  return new TrivetError(
    "store-damaged",
    `${reason} That was found while they were at work: where they are restored, remove ${directory.path}/${DAMAGE_NOTE} too.`,
  );
}
