import type { Directory, DiskFile } from "../platform/directory.ts";
import { hashFile } from "./hash-file.ts";
import { PAGE_BYTES } from "./limits.ts";
import { SNAPSHOT_FILES, type SnapshotFileName, type SnapshotManifest } from "./snapshot.ts";
import { snapshotFailed, snapshotGone, snapshotNotLevel } from "./snapshot-error.ts";
import type { LogPosition, StoredConfiguration } from "./types.ts";

/** What the database files hold while they are pinned. */
export interface PinnedState {
  /** In both files. */
  readonly position: LogPosition;
  /** In one of them: another one only after a crash. */
  readonly newest: LogPosition;
  readonly configuration: StoredConfiguration | null;
  /** Of their pages: see `PageSums.toTable`. */
  readonly sums: Readonly<Record<SnapshotFileName, Uint32Array<ArrayBuffer>>>;
}

/** Holds the database files as they are, from a checkpoint on: what is written meanwhile stays in the write-ahead logs. */
export interface DatabasePin {
  pin(): Promise<PinnedState>;
  /** Called once after every `pin` that resolved, when nothing is read any more. */
  unpin(): void;
}

export interface OpeningWatch {
  /** Ends the opening, and the snapshot. */
  readonly signal: AbortSignal;
  /** Called as it gets on. */
  readonly onProgress: () => void;
  /** A file is not what was written: it is not opened. */
  readonly onDamage: (found: string) => void;
}

type ManifestFile = SnapshotManifest["files"][number];

/**
 * The pinned database files and what is in them, until `signal` ends it. Whatever a read has got when that happens is not
 * handed out: from then on the files may change.
 */
export class SharedSnapshot {
  readonly manifest: SnapshotManifest;
  readonly #files: ReadonlyMap<SnapshotFileName, DiskFile>;
  readonly #signal: AbortSignal;

  private constructor(
    manifest: SnapshotManifest,
    files: ReadonlyMap<SnapshotFileName, DiskFile>,
    signal: AbortSignal,
  ) {
    this.manifest = manifest;
    this.#files = files;
    this.#signal = signal;
  }

  /** Rejects with the reason of `signal`, with `snapshot-not-level`, or with the disk's error. */
  static async open(directory: Directory, pin: DatabasePin, watch: OpeningWatch): Promise<SharedSnapshot> {
    const { signal, onProgress } = watch;
    const { position, newest, configuration, sums } = await pin.pin();
    onProgress();
    const isLevel = newest.index === position.index;
    if (signal.aborted || !isLevel) pin.unpin();
    signal.throwIfAborted();
    if (!isLevel) {
      // mark: store: a snapshot was asked for while one database was ahead of the other
      throw snapshotNotLevel(newest);
    }
    const files = new Map<SnapshotFileName, DiskFile>();
    signal.addEventListener("abort", () => pin.unpin(), { once: true });
    try {
      const described: ManifestFile[] = [];
      for (const name of SNAPSHOT_FILES) {
        const file = await directory.open(name);
        files.set(name, file);
        described.push(await describe(name, file, { ...watch, sums: sums[name] }));
      }
      signal.throwIfAborted();
      const snapshot = new SharedSnapshot({ position, configuration, files: described }, files, signal);
      signal.addEventListener("abort", () => void closeAll(files.values()), { once: true });
      return snapshot;
    } catch (error) {
      await closeAll(files.values());
      throw error;
    }
  }

  /** Fewer bytes than `length` only where the file ends. */
  async read(name: SnapshotFileName, offset: number, length: number): Promise<Uint8Array> {
    this.#signal.throwIfAborted();
    const file = this.#files.get(name);
    if (file === undefined) throw snapshotFailed("read", `there is no file ${name}`);
    let bytes: Uint8Array;
    try {
      bytes = await file.read(offset, length);
    } catch (error) {
      throw snapshotFailed("read", error);
    }
    this.#signal.throwIfAborted();
    return bytes;
  }
}

/** What is not what was written is told of, and goes to nobody. */
async function describe(
  name: SnapshotFileName,
  file: DiskFile,
  { sums, onDamage, ...watch }: OpeningWatch & { readonly sums: Uint32Array },
): Promise<ManifestFile> {
  const refuse = (page: number): never => {
    // mark: store: a snapshot was not given, because a page is not what was written
    const found = `${name}: page ${page} is not what was written`;
    onDamage(found);
    throw snapshotFailed("opened", found);
  };
  const onPage = (page: number, sum: number): void => {
    const known = sums[page - 1] ?? 0;
    if (known !== 0 && known !== sum) refuse(page);
  };
  const bytes = await file.size();
  const sha256 = await hashFile(file, bytes, { ...watch, onPage });
  if (sha256 === null) throw snapshotGone(`${name} became shorter while it was read`);
  const pages = bytes / PAGE_BYTES;
  if (pages < sums.length) refuse(Math.floor(pages) + 1);
  return { name, bytes, sha256 };
}

/** They were only read, so an error says nothing that anybody needs to know. */
async function closeAll(files: Iterable<DiskFile>): Promise<void> {
  await Promise.allSettled([...files].map((file) => file.close()));
}
