import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { SnapshotFileName, SnapshotManifest, SnapshotReceiver } from "../../agent/store/snapshot.ts";
import { sha256 } from "./model-snapshot.ts";

export interface ModelReceiverOptions {
  readonly manifest: SnapshotManifest;
  /** Runs after what the store has to do before; never if the process dies. */
  readonly later: <T>(act: () => T) => Promise<T>;
  readonly install: (images: ReadonlyMap<SnapshotFileName, Buffer>) => Promise<void>;
}

/** Takes in a snapshot and checks it as the store does. */
export class ModelReceiver implements SnapshotReceiver {
  readonly #options: ModelReceiverOptions;
  readonly #images: ReadonlyMap<SnapshotFileName, Buffer>;

  constructor(options: ModelReceiverOptions) {
    this.#options = options;
    this.#images = new Map(options.manifest.files.map(({ name, bytes }) => [name, Buffer.alloc(bytes)]));
  }

  write(name: SnapshotFileName, offset: number, bytes: Uint8Array): Promise<void> {
    return this.#options.later(() => this.#images.get(name)?.set(bytes, offset));
  }

  async install(): Promise<void> {
    const { later, manifest, install } = this.#options;
    await later(() => {
      for (const { name, sha256: wanted } of manifest.files) {
        if (sha256(this.#images.get(name) ?? Buffer.alloc(0)) === wanted) continue;
        throw new TrivetError("snapshot-corrupt", `The model finds ${name} damaged.`);
      }
    });
    await install(this.#images);
  }

  async discard(): Promise<void> {
    // Nothing was kept that a restart would find.
  }
}
