import { invariant } from "./invariant.ts";
import type { Random } from "./random.ts";

/** What a disk writes at once: after a power cut a sector has its old content or its new one, never a mixture. */
export const SECTOR_BYTES = 512;

/**
 * The content of one file on a disk in memory. `#bytes` is what reads see. For each sector that has changed since it
 * was last durable, what a power cut may bring back is kept: in `#unsynced` if a sync will make the sector durable, in
 * `#dropped` if a sync has failed. The kernel counts such pages as clean, so no later sync writes them: they read well
 * and are gone after the power cut.
 */
export class MemoryFile {
  #bytes = Buffer.alloc(0);
  #size = 0;
  #durableSize = 0;
  readonly #unsynced = new Map<number, Buffer>();
  readonly #dropped = new Map<number, Buffer>();

  get size(): number {
    return this.#size;
  }

  read(offset: number, length: number): Buffer {
    return Buffer.from(
      this.#bytes.subarray(Math.min(offset, this.#size), Math.min(offset + length, this.#size)),
    );
  }

  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = offset + bytes.length;
    this.#reserve(end);
    const last = Math.floor((end - 1) / SECTOR_BYTES);
    for (let sector = Math.floor(offset / SECTOR_BYTES); sector <= last; sector += 1) {
      if (this.#unsynced.has(sector)) continue;
      this.#unsynced.set(sector, this.#dropped.get(sector) ?? this.#copyOfSector(sector));
      this.#dropped.delete(sector);
    }
    this.#bytes.set(bytes, offset);
    this.#size = Math.max(this.#size, end);
  }

  sync(): void {
    this.#unsynced.clear();
    this.#durableSize = this.#size;
  }

  /** A sync that reports an error. */
  failSync(): void {
    for (const [sector, durable] of this.#unsynced) this.#dropped.set(sector, durable);
    this.#unsynced.clear();
  }

  /** A power cut: each sector that was not synced is kept with the probability `keep` (0 to 1), else as it was. */
  crash(random: Random, keep: number): void {
    for (const [sector, durable] of this.#dropped) this.#restore(sector, durable);
    for (const [sector, durable] of this.#unsynced) {
      if (random.float() >= keep) this.#restore(sector, durable);
    }
    if (random.float() >= keep) this.#size = this.#durableSize;
    this.#bytes.fill(0, this.#size);
    this.#dropped.clear();
    this.sync();
  }

  /** Damage on the medium itself: `bit` 0 to 7 of the byte at `offset`. */
  flipBit(offset: number, bit: number): void {
    invariant(offset < this.#size, "The bit to flip lies behind the end of the file");
    this.#bytes.writeUInt8(this.#bytes.readUInt8(offset) ^ (1 << bit), offset);
  }

  /** Another disk with the same durable and volatile content. */
  copy(): MemoryFile {
    const copy = new MemoryFile();
    copy.#bytes = Buffer.from(this.#bytes);
    copy.#size = this.#size;
    copy.#durableSize = this.#durableSize;
    for (const [sector, durable] of this.#unsynced) copy.#unsynced.set(sector, durable);
    for (const [sector, durable] of this.#dropped) copy.#dropped.set(sector, durable);
    return copy;
  }

  #copyOfSector(sector: number): Buffer {
    return Buffer.from(this.#bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
  }

  #restore(sector: number, durable: Buffer): void {
    this.#bytes.set(durable, sector * SECTOR_BYTES);
  }

  /** Whole sectors, and room to grow into, so that growing by small writes costs no copy each. */
  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    const wanted = Math.max(bytes, this.#bytes.length * 2);
    const grown = Buffer.alloc(Math.ceil(wanted / SECTOR_BYTES) * SECTOR_BYTES);
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}
