import { createHash } from "node:crypto";
import type { DiskFile } from "../platform/directory.ts";
import { PAGE_BYTES } from "./limits.ts";
import { sumOf } from "./page-sums-codec.ts";

/** Read and hashed at a time: some milliseconds on a small box, and then others have their turn. */
const CHUNK_PAGES = 32;
const CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES;

export interface HashWatch {
  readonly signal?: AbortSignal;
  readonly onProgress?: () => void;
  /** Called for each page, from 1 on, with its sum. What it throws ends the hashing. */
  readonly onPage?: (page: number, sum: number) => void;
}

/**
 * The SHA-256 of the first `bytes` bytes, in hex; null if the file is shorter. Between the pieces it tells `onProgress`, checks `signal`,
 * and rejects with its reason.
 */
export async function hashFile(
  file: DiskFile,
  bytes: number,
  { signal, onProgress, onPage }: HashWatch = {},
): Promise<string | null> {
  const hash = createHash("sha256");
  for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, bytes - offset);
    const chunk = await file.read(offset, length);
    signal?.throwIfAborted();
    if (chunk.byteLength < length) return null;
    hash.update(chunk);
    for (let at = 0; at < length; at += PAGE_BYTES)
      onPage?.((offset + at) / PAGE_BYTES + 1, sumOf(chunk.subarray(at, at + PAGE_BYTES)));
    onProgress?.();
  }
  return hash.digest("hex");
}
