/**
 * The disk as the durable parts of the agent see it: one flat directory of files. Nothing else may touch the files in
 * it while it is in use.
 *
 * Two things become durable separately (fsync(2)): what is in a file, by `DiskFile.sync()`, and which names there
 * are, by `Directory.sync()`. Until then a power cut may take or keep any part of it, in any order.
 *
 * Calls reject with the system's error (`code` is EIO, ENOSPC, EACCES, ...).
 */
export interface Directory {
  /** For messages to the operator. */
  readonly path: string;
  /** The names of the files, sorted by code unit. */
  list(): Promise<readonly string[]>;
  /** Opens for reading and writing; makes an empty file if there is none (its name is not durable yet). */
  open(name: string): Promise<DiskFile>;
  /** Atomic, replaces `to` if there is one: after a power cut either both effects are seen or none. */
  rename(from: string, to: string): Promise<void>;
  /** Rejects with ENOENT if there is no such file. */
  remove(name: string): Promise<void>;
  /** Names made, changed and removed by calls that have resolved are durable. */
  sync(): Promise<void>;
}

/** An open file. Belongs to one user, who closes it. */
export interface DiskFile {
  /** In bytes, as the calls that have resolved left it. */
  size(): Promise<number>;
  /** A buffer of its own with `length` bytes from `offset`; fewer only where the file ends. */
  read(offset: number, length: number): Promise<Buffer>;
  /**
   * Writes all of `bytes`, which must not change until it resolves; grows the file (with zeros up to `offset`)
   * where needed. Rejected: any part may have been written.
   */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * fdatasync(2): the writes that have resolved, and the size, are durable. After a rejection it is unknown what
   * is, and trying again proves nothing: the kernel may have dropped the dirty pages.
   */
  sync(): Promise<void>;
  /** Makes nothing durable. */
  close(): Promise<void>;
}

/** Errors of a read that say that what was written is gone: of the medium, or of the file system's own checksums. */
const MEDIUM_ERRORS: readonly string[] = ["EIO", "EBADMSG", "EUCLEAN"];

/** What was to be read is damaged, as if it had been read and did not check out. */
export function isMediumError(error: unknown): boolean {
  return MEDIUM_ERRORS.includes(systemErrorCode(error) ?? "");
}

/** The `code` of a system error, such as ENOSPC; undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
