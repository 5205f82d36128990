import fs from "node:fs";
import { join } from "node:path";
import { systemErrorCode } from "../platform/directory.ts";

const PROBE_FILE = "room-probe";
/** What a commit may need at once: a little more than the pages of a large row. */
const PROBE_BYTES = 256 * 1024;

/**
 * True if the file system of `directory` has no room. SQLite says only "disk I/O error" of it, as of a disk that is broken; so
 * this tries.
 */
export function isDiskFull(directory: string): boolean {
  const path = join(directory, PROBE_FILE);
  try {
    const file = fs.openSync(path, "w", 0o600);
    try {
      return fs.writeSync(file, Buffer.alloc(PROBE_BYTES)) < PROBE_BYTES;
    } finally {
      fs.closeSync(file);
      fs.unlinkSync(path);
    }
  } catch (error) {
    const code = systemErrorCode(error);
    return code === "ENOSPC" || code === "EDQUOT";
  }
}
