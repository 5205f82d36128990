import { createHash } from "node:crypto";
import type { DiskFile } from "../platform/directory.ts";

/** Read and hashed at a time: some milliseconds on a small box, and then others have their turn. */
const CHUNK_BYTES = 128 * 1024;

/**
 * SHA-256 of the first `bytes` bytes, hex; null if the file is shorter. Checks `signal` between the pieces and rejects
 * with its reason.
 */
export async function hashFile(file: DiskFile, bytes: number, signal?: AbortSignal): Promise<string | null> {
  const hash = createHash("sha256");
  for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, bytes - offset);
    const chunk = await file.read(offset, length);
    signal?.throwIfAborted();
    if (chunk.byteLength < length) return null;
    hash.update(chunk);
  }
  return hash.digest("hex");
}
