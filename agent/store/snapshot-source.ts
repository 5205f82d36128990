import type { Directory } from "../platform/directory.ts";
import { type DatabasePin, SharedSnapshot } from "./shared-snapshot.ts";
import type { StoreSnapshot } from "./snapshot.ts";
import { snapshotFailed, snapshotGone } from "./snapshot-error.ts";

interface Sharing {
  readonly snapshot: Promise<SharedSnapshot>;
  readonly ending: AbortController;
  /** Who waits for it, and is to hear how it gets on. */
  readonly listeners: Set<() => void>;
  readers: number;
}

/**
 * The snapshots that others read from this node. All that are open at a time are one, because there is one pair of
 * files: the first reader pins it, the last one lets go. So a later reader may get a position that is some time old, and
 * has to look at it.
 */
export class SnapshotSource {
  readonly #directory: Directory;
  readonly #pin: DatabasePin;
  #sharing: Sharing | undefined;

  constructor(directory: Directory, pin: DatabasePin) {
    this.#directory = directory;
    this.#pin = pin;
  }

  /**
   * Rejects with `snapshot-gone` if it is ended meanwhile, with `snapshot-failed` if the files cannot be read. `onProgress` is called as
   * they are.
   */
  async open(onProgress: () => void): Promise<StoreSnapshot> {
    this.#sharing ??= this.#share();
    const sharing = this.#sharing;
    sharing.readers += 1;
    sharing.listeners.add(onProgress);
    try {
      return createReader(await sharing.snapshot, () => this.#leave(sharing));
    } catch (error) {
      this.#end(sharing, "it could not be opened");
      throw snapshotFailed("opened", error);
    } finally {
      sharing.listeners.delete(onProgress);
    }
  }

  /** For all readers, at once: what they have not got yet they do not get. */
  end(reason: string): void {
    if (this.#sharing !== undefined) this.#end(this.#sharing, reason);
  }

  #leave(sharing: Sharing): void {
    sharing.readers -= 1;
    if (sharing.readers === 0) this.#end(sharing, "its last reader has closed it");
  }

  #end(sharing: Sharing, reason: string): void {
    if (this.#sharing === sharing) this.#sharing = undefined;
    sharing.ending.abort(snapshotGone(reason));
  }

  #share(): Sharing {
    const ending = new AbortController();
    const listeners = new Set<() => void>();
    const onProgress = (): void => {
      for (const listener of listeners) listener();
    };
    const watch = { signal: ending.signal, onProgress };
    const snapshot = SharedSnapshot.open(this.#directory, this.#pin, watch);
    return { snapshot, ending, listeners, readers: 0 };
  }
}

function createReader(snapshot: SharedSnapshot, leave: () => void): StoreSnapshot {
  let isOpen = true;
  return {
    ...snapshot.manifest,
    async read(name, offset, length) {
      if (!isOpen) throw snapshotGone("its reader has closed it");
      return await snapshot.read(name, offset, length);
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      leave();
    },
  };
}
