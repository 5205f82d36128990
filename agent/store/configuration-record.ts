import { invariant } from "../platform/invariant.ts";
import type { DatabaseFile } from "./database-file.ts";
import type { StoredConfiguration } from "./types.ts";

/** The newest membership that an applied entry brought. Opaque here; a part of what all nodes must agree on. */
export class ConfigurationRecord {
  readonly #file: DatabaseFile;
  #current: StoredConfiguration | null = null;

  constructor(file: DatabaseFile) {
    this.#file = file;
    const bytes = file.readMeta("configuration");
    if (bytes === undefined) return;
    invariant(bytes instanceof Uint8Array, "a configuration is bytes");
    this.#current = { index: Number(file.readMeta("configuration_index")), bytes };
  }

  /** Another object whenever it changes. */
  get current(): StoredConfiguration | null {
    return this.#current;
  }

  save(index: number, bytes: Uint8Array): void {
    this.#file.begin();
    this.#file.writeMeta("configuration", bytes);
    this.#file.writeMeta("configuration_index", index);
    this.#file.digest.fold(index, "configuration", bytes);
    // A copy: `bytes` are a part of the message that brought them.
    this.#current = { index, bytes: Uint8Array.prototype.slice.call(bytes) };
  }
}
