import { createCipheriv, randomBytes } from "node:crypto";

/** Where random() and randomblob() draw from. */
export interface Entropy {
  /** `length` bytes, the caller's to keep. */
  draw(length: number): Uint8Array;
}

/** The operating system's generator: for queries, whose answers stay on one node. */
export const systemEntropy: Entropy = { draw: (length) => randomBytes(length) };

/** Key stream made at a time: most statements need 8 bytes. */
const CHUNK_BYTES = 512;

/**
 * The same bytes on every node: the AES-128 key stream in counter mode under `seed` (16 bytes) as the key, counter
 * from 0 (NIST SP 800-38A 6.5). Part of what a log entry means, so it never changes.
 */
export function createSeededEntropy(seed: Uint8Array): Entropy {
  let cipher: ReturnType<typeof createCipheriv> | undefined;
  let rest: Uint8Array = new Uint8Array(0);
  return {
    draw(length) {
      cipher ??= createCipheriv("aes-128-ctr", seed, new Uint8Array(16));
      const drawn = new Uint8Array(length);
      const head = rest.subarray(0, length);
      drawn.set(head);
      rest = rest.subarray(head.byteLength);
      const missing = length - head.byteLength;
      if (missing > 0) {
        const stream = cipher.update(new Uint8Array(Math.max(missing, CHUNK_BYTES)));
        drawn.set(stream.subarray(0, missing), head.byteLength);
        rest = stream.subarray(missing);
      }
      return drawn;
    },
  };
}
