/** What is used least recently goes first. Bounded in entries and in their sizes together. */
export class LruCache<Value> {
  readonly #countMax: number;
  readonly #sizeMax: number;
  readonly #onEvict: (value: Value) => void;
  /** In the order of use, oldest first. */
  readonly #entries = new Map<string, { readonly value: Value; readonly size: number }>();
  #size = 0;

  constructor(options: {
    readonly countMax: number;
    readonly sizeMax: number;
    /** Called for each value that leaves the cache, `clear` included. */
    readonly onEvict?: (value: Value) => void;
  }) {
    this.#countMax = options.countMax;
    this.#sizeMax = options.sizeMax;
    this.#onEvict = options.onEvict ?? (() => undefined);
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** A value larger than the whole cache is let go at once. */
  set(key: string, value: Value, size: number): void {
    this.delete(key);
    this.#entries.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#countMax && this.#size <= this.#sizeMax) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#size -= entry.size;
    this.#onEvict(entry.value);
  }

  clear(): void {
    for (const key of this.#entries.keys()) this.delete(key);
  }
}
