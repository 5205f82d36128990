import { type Configuration, EMPTY_CONFIGURATION, type Entry, type PlacedConfiguration } from "./types.ts";

/**
 * Which configuration is in force: the last one in the log, committed or not (Raft 6). Older ones are kept to fall back
 * to when a new leader cuts the log.
 *
 *     base (applied)   [ configuration, configuration ]   the last one is in force
 *
 * `base` is the last one that the state machine has applied, and is never taken back; it outlives its entry.
 */
export class ConfigurationHistory {
  #base: PlacedConfiguration;
  #later: PlacedConfiguration[] = [];

  constructor(base: PlacedConfiguration) {
    this.#base = base;
  }

  get current(): Configuration {
    return this.#newest.configuration;
  }

  /** The one that was in force before the current one, and is again if that is rolled back. */
  get previous(): Configuration {
    if (this.#later.length === 0) return EMPTY_CONFIGURATION;
    return (this.#later.at(-2) ?? this.#base).configuration;
  }

  /** Where the current configuration stands; 0 if there is none. */
  get index(): number {
    return this.#newest.index;
  }

  /** To be called with every entry that enters the log. Those that the state machine has applied already say nothing new. */
  append(entries: readonly Entry[]): void {
    for (const { index, ...entry } of entries) {
      if (!("configuration" in entry) || index <= this.#base.index) continue;
      this.#later.push({ index, configuration: entry.configuration });
    }
  }

  /** To be called when the log forgets `from` and everything behind it. */
  truncate(from: number): void {
    this.#later = this.#later.filter(({ index }) => index < from);
  }

  /** To be called when the log forgets the entries up to `index`, which are applied: the last of them stays. */
  compact(index: number): void {
    this.#base = this.#later.findLast((placed) => placed.index <= index) ?? this.#base;
    this.#later = this.#later.filter((placed) => placed.index > index);
  }

  /** A snapshot of `index` came, whose last configuration is `base`, and the log goes on behind it: so does its history. */
  rebase(index: number, base: PlacedConfiguration): void {
    this.compact(index);
    if (base.index > this.#base.index) this.#base = base;
  }

  /** A snapshot came in place of the log: what the log said was perhaps never committed. */
  replace(base: PlacedConfiguration): void {
    this.#base = base;
    this.#later = [];
  }

  get #newest(): PlacedConfiguration {
    return this.#later.at(-1) ?? this.#base;
  }
}
