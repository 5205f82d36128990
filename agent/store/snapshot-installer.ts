import { join } from "node:path";
import type { Directory } from "../platform/directory.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { FileChecker } from "./file-checker.ts";
import { removeInstallMarker } from "./install-marker.ts";
import { SNAPSHOT_FILES, type SnapshotManifest, type SnapshotReceiver } from "./snapshot.ts";
import { snapshotCorrupt, snapshotFailed, snapshotGone } from "./snapshot-error.ts";
import { SnapshotStaging, stagedName } from "./snapshot-staging.ts";
import { installStaged } from "./swap-databases.ts";
import type { LogPosition } from "./types.ts";

export interface SnapshotInstallerOptions {
  readonly directory: Directory;
  readonly check: FileChecker;
  /** Runs `swap` while nobody has the databases open; rejects once and for all if that rejects. */
  readonly replaceFiles: (swap: () => Promise<void>) => Promise<void>;
  /** What `recoverInstall` has found. */
  readonly pendingInstall: LogPosition | null;
}

/**
 * Takes in the snapshots of other nodes, one at a time: staged, sealed (durable, and with the announced hash), checked as
 * databases, and only then put in the place of this node's. What goes wrong before that changes nothing.
 */
export class SnapshotInstaller {
  readonly #options: SnapshotInstallerOptions;
  /** True from `receive` until what it gave is installed or discarded. */
  #isReceiving = false;
  /** What it gave, while it is neither. */
  #receiver: SnapshotReceiver | undefined;
  #isClosed = false;
  #isReplacing = false;
  #pendingInstall: LogPosition | null;
  #finishing: Promise<void> = Promise.resolve();

  constructor(options: SnapshotInstallerOptions) {
    this.#options = options;
    this.#pendingInstall = options.pendingInstall;
  }

  /** See `SnapshotStore`. */
  get pendingInstall(): LogPosition | null {
    return this.#pendingInstall;
  }

  /** Rejects with `store-busy` while another one is being received. */
  async receive(manifest: SnapshotManifest): Promise<SnapshotReceiver> {
    if (this.#isReceiving) {
      throw new TrivetError("store-busy", "Another snapshot is being received. Discard it first.");
    }
    this.#isReceiving = true;
    try {
      const staging = await SnapshotStaging.begin(this.#options.directory, manifest);
      const receiver = this.#createReceiver(manifest, staging);
      this.#receiver = receiver;
      if (this.#isClosed) {
        await receiver.discard();
        throw snapshotGone("the store was closed");
      }
      return receiver;
    } catch (error) {
      this.#isReceiving = false;
      throw snapshotFailed("received", error);
    }
  }

  /** Idempotent. Of no effect while another snapshot takes its place, whose marker must stay. */
  async finishInstall(): Promise<void> {
    if (this.#isReplacing) return;
    this.#finishing = this.#finish();
    await this.#finishing;
  }

  /**
   * Lets go of the files of a snapshot that is being received, and removes them; rejects if the disk does not. One that is
   * being installed goes on.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#receiver?.discard();
  }

  async #finish(): Promise<void> {
    await removeInstallMarker(this.#options.directory);
    this.#pendingInstall = null;
  }

  #createReceiver(manifest: SnapshotManifest, staging: SnapshotStaging): SnapshotReceiver {
    let state: "open" | "installing" | "closed" = "open";
    const discard = async (): Promise<void> => {
      state = "closed";
      this.#receiver = undefined;
      try {
        await staging.discard();
      } finally {
        this.#isReceiving = false;
      }
    };
    return {
      write: async (name, offset, bytes) => {
        try {
          await staging.write(name, offset, bytes);
        } catch (error) {
          throw snapshotFailed("written", error);
        }
      },
      discard: async () => {
        if (state === "open") await discard();
      },
      install: async () => {
        if (state !== "open") throw snapshotGone("it was installed or discarded");
        state = "installing";
        try {
          await this.#verify(manifest, staging);
        } catch (error) {
          await discard();
          throw snapshotFailed("installed", error);
        }
        await this.#replace(manifest.position);
        state = "closed";
        this.#receiver = undefined;
      },
    };
  }

  async #verify({ position }: SnapshotManifest, staging: SnapshotStaging): Promise<void> {
    await staging.seal();
    const answer = await this.#options.check(
      SNAPSHOT_FILES.map((name) => join(this.#options.directory.path, stagedName(name))),
    );
    if (answer.kind === "unsound") throw snapshotCorrupt(answer.problem);
    const { index, term } = answer.position;
    if (index === position.index && term === position.term) return;
    throw snapshotCorrupt(
      `it stands at entry ${index} of term ${term} and was announced for ${position.index}`,
    );
  }

  /** From here on there is no way back: a failure ends the store, and the next start finds out what the disk has. */
  async #replace(position: LogPosition): Promise<void> {
    this.#isReplacing = true;
    // It removes a marker, and must not remove the one that is written now.
    await Promise.allSettled([this.#finishing]);
    await this.#options.replaceFiles(() => installStaged(this.#options.directory, position));
    this.#pendingInstall = position;
    this.#isReplacing = false;
    this.#isReceiving = false;
  }
}
