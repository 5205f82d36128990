import type { ResultDigest } from "../store/types.ts";

/** What the results of two members say about their copies. */
export type DigestVerdict = "same" | "differs" | "unknown";

/**
 * The running result hashes of the entries that were applied last, one for each batch. Equal at equal index on every node, unless one
 * has diverged.
 */
export class DigestRing {
  readonly #kept: (ResultDigest | undefined)[];
  readonly #slotOf = new Map<number, number>();
  #next = 0;

  constructor(digestsMax: number) {
    this.#kept = new Array<ResultDigest | undefined>(digestsMax).fill(undefined);
  }

  /** In the order of indexes; one that is known changes nothing. */
  add(digest: ResultDigest): void {
    if (digest.index === 0 || this.#slotOf.has(digest.index)) return;
    const oldest = this.#kept[this.#next];
    if (oldest !== undefined) this.#slotOf.delete(oldest.index);
    this.#kept[this.#next] = digest;
    this.#slotOf.set(digest.index, this.#next);
    this.#next = (this.#next + 1) % this.#kept.length;
  }

  /** `unknown` where no hash of that index is kept. */
  compare(other: ResultDigest): DigestVerdict {
    const slot = this.#slotOf.get(other.index);
    const own = slot === undefined ? undefined : this.#kept[slot];
    if (own === undefined) return "unknown";
    return isEqual(own.hash, other.hash) ? "same" : "differs";
  }

  /** The database was replaced: what was said of the old one counts no more. */
  clear(): void {
    this.#kept.fill(undefined);
    this.#slotOf.clear();
    this.#next = 0;
  }
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.byteLength === other.byteLength && one.every((byte, nth) => byte === other[nth]);
}
