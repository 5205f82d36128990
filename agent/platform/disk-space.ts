import { statfs } from "node:fs/promises";

/** How much room a file system has. */
export interface DiskSpace {
  /** Bytes that this process could still write. Rejects with the system's error. */
  freeBytes(): Promise<number>;
}

/** Of the file system that holds `path`. */
export function diskSpaceAt(path: string): DiskSpace {
  return {
    async freeBytes() {
      // Not `bfree`: that counts what the file system keeps for itself, too.
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    },
  };
}
