const BITS = 16;

/** A set of small integers whose content can be had as a short text: the memory of a search holds hundreds of thousands of them. */
export class BitSet {
  readonly #words: Uint16Array;

  /** For 0 to `size - 1`. */
  constructor(size: number) {
    this.#words = new Uint16Array(Math.ceil(size / BITS));
  }

  has(value: number): boolean {
    return ((this.#words[Math.floor(value / BITS)] ?? 0) & (1 << (value % BITS))) !== 0;
  }

  add(value: number): void {
    const at = Math.floor(value / BITS);
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (value % BITS));
  }

  delete(value: number): void {
    const at = Math.floor(value / BITS);
    this.#words[at] = (this.#words[at] ?? 0) & ~(1 << (value % BITS));
  }

  /** The members from `first` (rounded down to a whole word) up to `end`, as text: equal if and only if they are the same. */
  textOf(first: number, end: number): string {
    return String.fromCharCode(...this.#words.subarray(Math.floor(first / BITS), Math.ceil(end / BITS)));
  }
}
