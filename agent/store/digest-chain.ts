import { createHash } from "node:crypto";

/**
 * A running hash of everything that one database file answered:
 *
 *     hash = SHA-256(hash before | index of the entry, 8 bytes big endian | kind, 1 byte | content)
 *
 * Two files that were given the same entries have the same hash, or one of them did something else. Kept in the file with
 * the position, so what is hashed, and how, never changes its meaning.
 */
export class DigestChain {
  #hash: Uint8Array;

  constructor(hash: Uint8Array) {
    this.#hash = hash;
  }

  get hash(): Uint8Array {
    return this.#hash;
  }

  fold(index: number, kind: keyof typeof KINDS, content: Uint8Array): void {
    const head = Buffer.allocUnsafe(9);
    head.writeBigUInt64BE(BigInt(index));
    head.writeUInt8(KINDS[kind], 8);
    this.#hash = createHash("sha256").update(this.#hash).update(head).update(content).digest();
  }
}

const KINDS = { results: 1, configuration: 2 } as const;

/** Of a file that has answered nothing yet. */
export const EMPTY_CHAIN: Uint8Array = new Uint8Array(32);

/** One hash for both files. */
export function combineChains(app: Uint8Array, state: Uint8Array): Uint8Array {
  return createHash("sha256").update(app).update(state).digest();
}
