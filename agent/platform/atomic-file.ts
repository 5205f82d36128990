import type { Directory } from "./directory.ts";

const TEMPORARY = ".new";

/** All of a small file; null if there is none. */
export async function readWholeFile(directory: Directory, name: string): Promise<Buffer | null> {
  if (!(await directory.list()).includes(name)) return null;
  const file = await directory.open(name);
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

/** Puts `bytes` in the place of a file, durably: after a power cut it is the old one or the new one, whole. */
export async function replaceWholeFile(directory: Directory, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${name}${TEMPORARY}`;
  // What a crash left of an earlier try may be longer.
  if ((await directory.list()).includes(temporary)) await directory.remove(temporary);
  const file = await directory.open(temporary);
  try {
    await file.write(0, bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await directory.rename(temporary, name);
  await directory.sync();
}
