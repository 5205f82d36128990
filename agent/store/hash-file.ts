import { createHash } from "node:crypto";
import type { DiskFile } from "../platform/directory.ts";
import { PAGE_BYTES } from "./limits.ts";
import { sumOf } from "./page-sums-codec.ts";

/** Read and hashed at a time: some milliseconds on a small box, and then others have their turn. */
const CHUNK_PAGES = 32;
const CHUNK_BYTES = CHUNK_PAGES * PAGE_BYTES;

export interface FileHash {
  /** Hex. */
  readonly sha256: string;
  /** Of the pages, from 1 at position 0. */
  readonly sums: Uint32Array;
}

export interface HashWatch {
  readonly signal?: AbortSignal;
  readonly onProgress?: () => void;
}

/**
 * Of the first `bytes` bytes; null if the file is shorter. Between the pieces it tells `onProgress`, checks `signal`, and rejects with
 * its reason.
 */
export async function hashFile(
  file: DiskFile,
  bytes: number,
  { signal, onProgress }: HashWatch = {},
): Promise<FileHash | null> {
  const hash = createHash("sha256");
  const sums = new Uint32Array(Math.ceil(bytes / PAGE_BYTES));
  for (let offset = 0; offset < bytes; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, bytes - offset);
    const chunk = await file.read(offset, length);
    signal?.throwIfAborted();
    if (chunk.byteLength < length) return null;
    hash.update(chunk);
    for (let at = 0; at < length; at += PAGE_BYTES)
      sums[(offset + at) / PAGE_BYTES] = sumOf(chunk.subarray(at, at + PAGE_BYTES));
    onProgress?.();
  }
  return { sha256: hash.digest("hex"), sums };
}
