import type { LogPosition, StoredConfiguration } from "./types.ts";

/** Copies of the whole state, from one node to another: the ports on both sides, and what both know of it. */

export const SNAPSHOT_FILES = ["app.db", "state.db"] as const;
export type SnapshotFileName = (typeof SNAPSHOT_FILES)[number];

/** Where the sums of a database's pages are kept (`PageSums`): beside it. Takes names, and paths. */
export function sumsName(database: string): string {
  return `${database}-sums`;
}

/** What a snapshot is: both database files as they were after the entry at `position`. */
export interface SnapshotManifest {
  readonly position: LogPosition;
  readonly configuration: StoredConfiguration | null;
  readonly files: readonly {
    readonly name: SnapshotFileName;
    readonly bytes: number;
    /** Hex. */
    readonly sha256: string;
  }[];
}

/**
 * A snapshot to read from. While one is open checkpoints wait, but not for ever: when the write-ahead logs have become
 * too long, when this node installs a snapshot itself, or at `close`, it ends, and reads reject with `snapshot-gone`.
 */
export interface StoreSnapshot extends SnapshotManifest {
  /** Fewer bytes than `length` only where the file ends. Rejects with `snapshot-failed` if the disk does. */
  read(name: SnapshotFileName, offset: number, length: number): Promise<Uint8Array>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Takes in a snapshot of another node. */
export interface SnapshotReceiver {
  /**
   * In any order, also again; `bytes` must not change until it resolves. Rejects with `snapshot-corrupt` outside of the
   * file, with `snapshot-failed` if the disk refuses (its error is the cause), with `snapshot-gone` after `install`.
   */
  write(name: SnapshotFileName, offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Checks the files, replaces the store's by them durably, and reopens: then `Store.applied` is the snapshot's position,
   * which may be behind what it was. Queries that come meanwhile wait. Entries that wait and are in the snapshot are
   * answered without results, entries that follow it go on, and others are rejected with `store-replaced`.
   *
   * Rejects with `snapshot-corrupt` or `snapshot-failed`, and nothing has changed, or once and for all with
   * `store-failed`: then the next start finds the old state or the new one.
   */
  install(): Promise<void>;
  /** Idempotent; of no effect while it is being installed and after. */
  discard(): Promise<void>;
}

/** Joins `Store`: snapshots out and in. */
export interface SnapshotStore {
  /**
   * Of everything applied so far, or the one that another reader has open already: look at its position. Takes as long as
   * hashing the files does, which `onProgress` is told of. Rejects with `snapshot-gone` if it ended meanwhile, with `snapshot-failed` if the disk fails, with
   * `snapshot-not-level` while a file is ahead of the other (`Store.newest`).
   */
  openSnapshot(onProgress?: () => void): Promise<StoreSnapshot>;
  /** One at a time: rejects with `store-busy` while another one is being received. Nothing is kept over a restart. */
  receiveSnapshot(manifest: SnapshotManifest): Promise<SnapshotReceiver>;
  /** Position of a snapshot that was installed and that the log may not know of yet: `finishInstall` was not called since. */
  readonly pendingInstall: LogPosition | null;
  /** The log agrees with the snapshot, durably. Idempotent, and of no effect while another one is being installed. */
  finishInstall(): Promise<void>;
}
