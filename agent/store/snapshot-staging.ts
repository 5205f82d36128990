import type { Directory, DiskFile } from "../platform/directory.ts";
import { hashFile } from "./hash-file.ts";
import { PAGE_BYTES } from "./limits.ts";
import { encodeSums } from "./page-sums-codec.ts";
import { SNAPSHOT_FILES, type SnapshotFileName, type SnapshotManifest, sumsName } from "./snapshot.ts";
import { snapshotCorrupt, snapshotGone } from "./snapshot-error.ts";

/**
 * Where a database waits until it is whole. Beside the one it replaces, because a rename is atomic within a directory
 * (see `Directory`), not between two.
 */
export function stagedName(name: SnapshotFileName): string {
  return `snapshot-${name}`;
}

/** Not durable, and it need not be: nothing counts as staged without the install marker. */
export async function removeStaged(directory: Directory): Promise<void> {
  const names = await directory.list();
  for (const name of SNAPSHOT_FILES.map(stagedName)) {
    for (const each of [name, sumsName(name)]) if (names.includes(each)) await directory.remove(each);
  }
}

interface StagedFile {
  readonly file: DiskFile;
  readonly bytes: number;
  readonly sha256: string;
}

/** The files of a snapshot while they come in. Closed once and for all by `seal` or `discard`. */
export class SnapshotStaging {
  readonly #directory: Directory;
  readonly #files: ReadonlyMap<SnapshotFileName, StagedFile>;
  readonly #writes = new Set<Promise<void>>();
  #isOpen = true;

  private constructor(directory: Directory, files: ReadonlyMap<SnapshotFileName, StagedFile>) {
    this.#directory = directory;
    this.#files = files;
  }

  /** What was staged before goes. Rejects with `snapshot-corrupt` for a manifest that is not one of a snapshot. */
  static async begin(directory: Directory, manifest: SnapshotManifest): Promise<SnapshotStaging> {
    const isWhole = SNAPSHOT_FILES.every((name) => manifest.files.some((file) => file.name === name));
    if (!isWhole || manifest.files.length !== SNAPSHOT_FILES.length) {
      throw snapshotCorrupt("its manifest does not name both databases once");
    }
    await removeStaged(directory);
    const files = new Map<SnapshotFileName, StagedFile>();
    const staging = new SnapshotStaging(directory, files);
    try {
      for (const { name, bytes, sha256 } of manifest.files) {
        files.set(name, { file: await directory.open(stagedName(name)), bytes, sha256 });
      }
    } catch (error) {
      await staging.#close();
      throw error;
    }
    return staging;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** `bytes` must not change until it resolves. Pieces may come in any order and again. */
  async write(name: SnapshotFileName, offset: number, bytes: Uint8Array): Promise<void> {
    const staged = this.#get(name);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + bytes.byteLength > staged.bytes) {
      throw snapshotCorrupt(`a piece at ${offset} of ${name} lies outside its ${staged.bytes} bytes`);
    }
    const write = staged.file.write(offset, bytes);
    this.#writes.add(write);
    try {
      await write;
    } finally {
      this.#writes.delete(write);
    }
  }

  /**
   * Makes the files durable and reads them back: rejects with `snapshot-corrupt` if they are not what was announced. The sums of their
   * pages are then those of what was sent.
   */
  async seal(): Promise<void> {
    this.#requireOpen();
    this.#isOpen = false;
    try {
      await Promise.allSettled(this.#writes);
      for (const [name, staged] of this.#files) {
        const sums = await requireSame(name, staged);
        await writeDurably(this.#directory, sumsName(stagedName(name)), encodeSums(sums));
      }
      await this.#directory.sync();
    } finally {
      await this.#close();
    }
  }

  /** Idempotent; also after `seal`, unless the files have been installed. */
  async discard(): Promise<void> {
    if (this.#isOpen) {
      this.#isOpen = false;
      await Promise.allSettled(this.#writes);
      await this.#close();
    }
    await removeStaged(this.#directory);
  }

  #get(name: SnapshotFileName): StagedFile {
    this.#requireOpen();
    const staged = this.#files.get(name);
    if (staged === undefined) throw snapshotCorrupt(`it has no file ${name}`);
    return staged;
  }

  #requireOpen(): void {
    if (!this.#isOpen) throw snapshotGone("it takes nothing in any more");
  }

  async #close(): Promise<void> {
    for (const { file } of this.#files.values()) await file.close();
  }
}

/** Resolves with the sums of its pages. */
async function requireSame(
  name: SnapshotFileName,
  { file, bytes, sha256 }: StagedFile,
): Promise<Uint32Array> {
  const size = await file.size();
  if (size !== bytes) throw snapshotCorrupt(`${name} has ${size} bytes instead of ${bytes}`);
  await file.sync();
  const sums = new Uint32Array(Math.ceil(bytes / PAGE_BYTES));
  const onPage = (page: number, sum: number): void => {
    sums[page - 1] = sum;
  };
  if ((await hashFile(file, bytes, { onPage })) === sha256) return sums;
  // mark: store: a received snapshot has another hash
  throw snapshotCorrupt(`the SHA-256 of ${name} is not the one announced`);
}

/** All but its name. */
async function writeDurably(directory: Directory, name: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const file = await directory.open(name);
  let offset = 0;
  try {
    for (const piece of pieces) {
      await file.write(offset, piece);
      offset += piece.byteLength;
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
