import fs from "node:fs";
import { join } from "node:path";
import type { SimRandom } from "../sim/sim-random.ts";

const { openSync, closeSync, writeSync, ftruncateSync, fsyncSync, fdatasyncSync, renameSync, unlinkSync } =
  fs;
const SECTOR_BYTES = 512;

type Change =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: "truncate"; readonly size: number };

/**
 * A directory of real files on a disk that can stop at any call, with what was not synced kept or lost sector by sector. The calls of
 * `node:fs` that change a file go through it, those of SQLite as well, so there can be one a process. Names are durable at once.
 */
export class CutDisk {
  readonly directory: string;
  readonly #random: SimRandom;
  readonly #paths = new Map<number, string>();
  readonly #durable = new Map<string, Buffer>();
  readonly #pending = new Map<string, Change[]>();
  #callsLeft = Number.POSITIVE_INFINITY;
  #isCut = false;

  constructor(directory: string, random: SimRandom) {
    this.directory = directory;
    this.#random = random;
    this.#replaceCalls();
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** The call after so many others fails in the middle, and so do all after it. */
  cutAfter(calls: number): void {
    this.#callsLeft = calls;
  }

  /** One bit of a file changes, as a medium may bring it about. Not while anything waits to be synced there. */
  flip(path: string, offset: number, bit: number): void {
    const file = openSync(path, "r+");
    try {
      const byte = Buffer.alloc(1);
      fs.readSync(file, byte, 0, 1, offset);
      byte.writeUInt8(byte.readUInt8(0) ^ (1 << bit), 0);
      writeSync(file, byte, 0, 1, offset);
    } finally {
      closeSync(file);
    }
    this.#durable.set(path, fs.readFileSync(path));
  }

  /** The process is gone: what the files hold stays. Nothing fails any more. */
  kill(): void {
    this.#restart();
  }

  /** The power was gone: of what was not synced, any part is there. */
  loseThePower(): void {
    this.#isCut = false;
    this.#callsLeft = Number.POSITIVE_INFINITY;
    for (const path of new Set([...this.#durable.keys(), ...this.#pending.keys()])) {
      if (!fs.existsSync(path)) continue;
      let image = this.#durable.get(path) ?? Buffer.alloc(0);
      for (const change of this.#pending.get(path) ?? []) image = this.#maybeChange(image, change);
      fs.writeFileSync(path, image);
    }
    this.#restart();
  }

  #restart(): void {
    this.#callsLeft = Number.POSITIVE_INFINITY;
    this.#isCut = false;
    this.#pending.clear();
    this.#durable.clear();
    for (const name of fs.readdirSync(this.directory)) {
      const path = join(this.directory, name);
      if (fs.statSync(path).isFile()) this.#durable.set(path, fs.readFileSync(path));
    }
  }

  #maybeChange(image: Buffer, change: Change): Buffer {
    if (change.kind === "truncate") {
      return this.#random.isTrue(0.5) ? resized(image, change.size) : image;
    }
    let next = image;
    for (let at = 0; at < change.bytes.length; at += SECTOR_BYTES) {
      if (this.#random.isTrue(0.5)) continue;
      const sector = change.bytes.subarray(at, at + SECTOR_BYTES);
      const end = change.offset + at + sector.length;
      if (end > next.length) next = resized(next, end);
      sector.copy(next, change.offset + at);
    }
    return next;
  }

  /** False if the disk stops in the middle of it. */
  #begin(): boolean {
    if (this.#isCut) throw stopped();
    this.#callsLeft -= 1;
    this.#isCut = this.#callsLeft < 0;
    return !this.#isCut;
  }

  #replaceCalls(): void {
    const isOurs = (path: unknown): path is string =>
      typeof path === "string" && path.startsWith(this.directory);
    const pathOf = (file: number): string | undefined => this.#paths.get(file);
    Object.assign(fs, {
      openSync: (...parameters: Parameters<typeof openSync>) => {
        const file = openSync(...parameters);
        if (isOurs(parameters[0])) this.#paths.set(file, parameters[0]);
        return file;
      },
      closeSync: (file: number) => {
        this.#paths.delete(file);
        closeSync(file);
      },
      writeSync: (file: number, bytes: Uint8Array, from: number, length: number, offset: number) => {
        const path = pathOf(file);
        if (path === undefined) return writeSync(file, bytes, from, length, offset);
        const isWhole = this.#begin();
        const written = isWhole ? length : this.#random.below(length + 1);
        const content = Buffer.from(bytes.subarray(from, from + written));
        this.#changesOf(path).push({ kind: "write", offset, bytes: content });
        writeSync(file, content, 0, written, offset);
        if (!isWhole) throw stopped();
        return length;
      },
      ftruncateSync: (file: number, size = 0) => {
        const path = pathOf(file);
        if (path !== undefined) {
          if (!this.#begin()) throw stopped();
          this.#changesOf(path).push({ kind: "truncate", size });
        }
        ftruncateSync(file, size);
      },
      fsyncSync: (file: number) => this.#sync(file, fsyncSync),
      fdatasyncSync: (file: number) => this.#sync(file, fdatasyncSync),
      renameSync: (from: string, to: string) => {
        if (isOurs(from) && !this.#begin()) throw stopped();
        renameSync(from, to);
        this.#durable.set(to, this.#durable.get(from) ?? Buffer.alloc(0));
        this.#pending.set(to, this.#pending.get(from) ?? []);
        this.#forget(from);
      },
      unlinkSync: (path: string) => {
        if (isOurs(path) && !this.#begin()) throw stopped();
        unlinkSync(path);
        this.#forget(path);
      },
    });
  }

  #sync(file: number, sync: (file: number) => void): void {
    const path = this.#paths.get(file);
    if (path === undefined) {
      sync(file);
      return;
    }
    if (!this.#begin()) throw stopped();
    // Slow, and of no effect here: `loseThePower` decides what is there.
    if (path === this.directory) return;
    this.#durable.set(path, fs.readFileSync(path));
    this.#pending.delete(path);
  }

  #changesOf(path: string): Change[] {
    const changes = this.#pending.get(path) ?? [];
    this.#pending.set(path, changes);
    return changes;
  }

  #forget(path: string): void {
    this.#durable.delete(path);
    this.#pending.delete(path);
  }
}

function resized(image: Buffer, size: number): Buffer {
  const next = Buffer.alloc(size);
  image.copy(next);
  return next;
}

function stopped(): Error {
  return Object.assign(new Error("EIO: the disk has stopped"), { code: "EIO" });
}
