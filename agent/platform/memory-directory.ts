import type { Directory, DiskFile } from "./directory.ts";
import { invariant } from "./invariant.ts";
import { MemoryFile } from "./memory-file.ts";
import type { Random } from "./random.ts";

export const DISK_OPERATIONS = [
  "list",
  "open",
  "rename",
  "remove",
  "sync-directory",
  "size",
  "read",
  "write",
  "sync",
  "close",
] as const;
export type DiskOperation = (typeof DISK_OPERATIONS)[number];

export interface DiskCall {
  readonly operation: DiskOperation;
  /** Of the file; "" for the calls that concern the directory. */
  readonly name: string;
  /** Counts all calls on this directory, from 1. */
  readonly number: number;
}

/**
 * What becomes of a call: nothing special (undefined); an error with this code (a failed write leaves the first half
 * of its bytes, a failed sync drops what it should have written); or `halt`: it is issued, never finished and never
 * settles, as for a process that dies in the middle of it.
 */
export type DiskVerdict = "EIO" | "ENOSPC" | "EACCES" | "halt" | undefined;

/** The changes of names by one call: they become durable together or not at all. */
type NameChange = readonly { readonly name: string; readonly file: MemoryFile | undefined }[];

/**
 * A disk in memory that keeps the contract of `Directory`, power cuts included. Deterministic: chance comes from the
 * caller, time does not exist (a call settles within microtasks, or when `onCall` lets it).
 */
export class MemoryDirectory implements Directory {
  readonly path = "memory:";
  /** Asked at each call; may answer later, and so give the disk a latency. */
  onCall: ((call: DiskCall) => DiskVerdict | Promise<DiskVerdict>) | undefined;
  bytesWritten = 0;
  readonly #counts = new Map<DiskOperation, number>();
  #calls = 0;
  #dead = false;
  #names = new Map<string, MemoryFile>();
  #durableNames = new Map<string, MemoryFile>();
  #unsynced: NameChange[] = [];

  /** How many calls of this kind were issued. */
  count(operation: DiskOperation): number {
    return this.#counts.get(operation) ?? 0;
  }

  list(): Promise<readonly string[]> {
    return this.#call("list", "", () => [...this.#names.keys()].sort());
  }

  open(name: string): Promise<DiskFile> {
    return this.#call("open", name, () => {
      if (!this.#names.has(name)) this.#change([{ name, file: new MemoryFile() }]);
      return this.#fileOf(name, this.#get("open", name));
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call("rename", from, () => {
      const file = this.#get("rename", from);
      this.#change([
        { name: from, file: undefined },
        { name: to, file },
      ]);
    });
  }

  remove(name: string): Promise<void> {
    return this.#call("remove", name, () => {
      this.#get("unlink", name);
      this.#change([{ name, file: undefined }]);
    });
  }

  sync(): Promise<void> {
    return this.#call("sync-directory", "", (verdict) => {
      if (verdict !== undefined) return;
      this.#unsynced = [];
      this.#durableNames = new Map(this.#names);
    });
  }

  /**
   * A power cut. Any part of what was not synced is gone, sector by sector and name by name. Returns the disk as the
   * next process finds it; this one is dead, and so is every file opened through it: their calls never settle.
   */
  crash(random: Random): MemoryDirectory {
    this.#dead = true;
    // All or nothing are as likely as everything in between.
    const keep = Math.min(1, Math.max(0, random.float() * 2 - 0.5));
    for (const change of this.#unsynced) {
      if (random.float() < keep) applyChange(this.#durableNames, change);
    }
    for (const file of new Set(this.#durableNames.values())) file.crash(random, keep);
    return MemoryDirectory.#holding(this.#durableNames);
  }

  /** The process dies and the machine stays up (kill -9): nothing is lost that was written. Else as `crash()`. */
  kill(): MemoryDirectory {
    this.#dead = true;
    const next = MemoryDirectory.#holding(this.#names);
    next.#durableNames = this.#durableNames;
    next.#unsynced = this.#unsynced;
    return next;
  }

  /** Another disk with the same content, all of it durable. */
  copy(): MemoryDirectory {
    return MemoryDirectory.#holding(new Map([...this.#names].map(([name, file]) => [name, file.copy()])));
  }

  /** Damage on the medium: `bit` 0 to 7 of the byte at `offset` of the file. */
  flipBit(name: string, offset: number, bit: number): void {
    this.#get("open", name).flipBit(offset, bit);
  }

  static #holding(names: Map<string, MemoryFile>): MemoryDirectory {
    const directory = new MemoryDirectory();
    directory.#names = new Map(names);
    directory.#durableNames = new Map(names);
    return directory;
  }

  #fileOf(name: string, file: MemoryFile): DiskFile {
    let isOpen = true;
    const call = <T>(operation: DiskOperation, effect: (verdict: DiskVerdict) => T): Promise<T> => {
      invariant(isOpen, `${operation} on ${name} after it was closed`);
      return this.#call(operation, name, effect);
    };
    return {
      size: () => call("size", () => file.size),
      read: (offset, length) => call("read", () => file.read(offset, length)),
      write: (offset, bytes) =>
        call("write", (verdict) => {
          const failed = verdict !== undefined && verdict !== "halt";
          const taken = failed ? bytes.subarray(0, bytes.length >> 1) : bytes;
          this.bytesWritten += taken.length;
          file.write(offset, taken);
        }),
      sync: () =>
        call("sync", (verdict) => {
          if (verdict === undefined) file.sync();
          else if (verdict !== "halt") file.failSync();
        }),
      close: () =>
        call("close", () => {
          isOpen = false;
        }),
    };
  }

  /** Every call of every kind comes through here: `effect` runs unless the call fails before it has one. */
  async #call<T>(operation: DiskOperation, name: string, effect: (verdict: DiskVerdict) => T): Promise<T> {
    if (this.#dead) return await never();
    this.#calls += 1;
    this.#counts.set(operation, this.count(operation) + 1);
    let verdict: DiskVerdict;
    if (this.onCall !== undefined) {
      const answer = this.onCall({ operation, name, number: this.#calls });
      verdict = answer instanceof Promise ? await answer : answer;
      if (this.#dead) return await never();
    }
    if (verdict === undefined) return effect(verdict);
    if (verdict === "halt" || operation === "write" || operation === "sync") effect(verdict);
    if (verdict === "halt") return await never();
    throw systemError(verdict, operation, name);
  }

  #get(operation: string, name: string): MemoryFile {
    const file = this.#names.get(name);
    if (file === undefined) throw systemError("ENOENT", operation, name);
    return file;
  }

  #change(change: NameChange): void {
    applyChange(this.#names, change);
    this.#unsynced.push(change);
  }
}

function applyChange(names: Map<string, MemoryFile>, change: NameChange): void {
  for (const { name, file } of change) {
    if (file === undefined) names.delete(name);
    else names.set(name, file);
  }
}

/** As the system's calls reject. */
export function systemError(code: string, operation: string, name: string): Error {
  return Object.assign(new Error(`${code}: injected, ${operation} '${name}'`), { code });
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
