import type { Clock } from "../platform/clock.ts";
import type { Directory } from "../platform/directory.ts";
import { SNAPSHOT_REFUSAL_MS } from "./limits.ts";
import { type DatabasePin, SharedSnapshot } from "./shared-snapshot.ts";
import type { StoreSnapshot } from "./snapshot.ts";
import { snapshotFailed, snapshotGone } from "./snapshot-error.ts";

export interface SnapshotSourceOptions {
  readonly directory: Directory;
  readonly pin: DatabasePin;
  readonly clock: Clock;
  /** A file is not what was written. */
  readonly reportDamage: (found: string) => void;
}

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
  readonly #options: SnapshotSourceOptions;
  #sharing: Sharing | undefined;
  /** The damage that a snapshot has met, so that not each peer that asks has all be read again. */
  #refusal: { readonly found: string; readonly untilMs: number } | undefined;

  constructor(options: SnapshotSourceOptions) {
    this.#options = options;
  }

  /**
   * Rejects with `snapshot-gone` if it is ended meanwhile, with `snapshot-failed` if the files cannot be read or are not what was
   * written. `onProgress` is called as they are read.
   */
  async open(onProgress: () => void): Promise<StoreSnapshot> {
    this.#requireSound();
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

  /** For all readers, at once: what they have not got yet they do not get. The next one finds out for itself what the files are. */
  end(reason: string): void {
    this.#refusal = undefined;
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
    const { directory, pin } = this.#options;
    const watch = { signal: ending.signal, onProgress, onDamage: (found: string) => this.#refuse(found) };
    const snapshot = SharedSnapshot.open(directory, pin, watch);
    return { snapshot, ending, listeners, readers: 0 };
  }

  #refuse(found: string): void {
    const { clock, reportDamage } = this.#options;
    this.#refusal = { found, untilMs: clock.nowMs() + SNAPSHOT_REFUSAL_MS };
    reportDamage(found);
  }

  #requireSound(): void {
    if (this.#refusal === undefined) return;
    const { found, untilMs } = this.#refusal;
    // mark: store: a snapshot was refused for damage that is known
    if (this.#options.clock.nowMs() < untilMs) throw snapshotFailed("opened", found);
    this.#refusal = undefined;
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
