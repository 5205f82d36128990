import { type Configuration, EMPTY_CONFIGURATION, type Entry } from "./types.ts";

/**
 * Which configuration is in force: the last one in the log, committed or not (Raft 6). Older ones are kept to
 * fall back to when a new leader cuts the log.
 */
export class ConfigurationHistory {
  readonly #stack: { readonly index: number; readonly configuration: Configuration }[] = [];

  get current(): Configuration {
    return this.#stack.at(-1)?.configuration ?? EMPTY_CONFIGURATION;
  }

  /** Where the current configuration stands; 0 if there is none. */
  get index(): number {
    return this.#stack.at(-1)?.index ?? 0;
  }

  /** To be called with every entry that enters the log. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== "configuration") continue;
      this.#stack.push({ index: entry.index, configuration: entry.configuration });
    }
  }

  /** To be called when the log forgets `from` and everything behind it. */
  truncate(from: number): void {
    while (this.index >= from && this.#stack.length > 0) this.#stack.pop();
  }
}
