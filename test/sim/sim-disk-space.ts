import type { DiskSpace } from "../../agent/platform/disk-space.ts";
import { systemError } from "../../agent/platform/memory-directory.ts";
import type { SimRandom } from "./sim-random.ts";

export const WATERMARK_BYTES = 64 * 1024 * 1024;

/** How full a file system may be, as parts of the watermark that are left free. */
const LEVELS = {
  roomy: [2, 100],
  low: [0.26, 0.99],
  critical: [0.001, 0.24],
  none: [0, 0],
} as const;
export const LEVEL_NAMES = Object.keys(LEVELS) as readonly (keyof typeof LEVELS)[];
export type SpaceLevel = keyof typeof LEVELS;

/** The room on a node's file system. Others fill it and make it free again; what the node writes itself is little. */
export class SimDiskSpace implements DiskSpace {
  readonly #random: SimRandom;
  readonly #isUnreadable: () => boolean;
  #freeBytes = 2 * WATERMARK_BYTES;

  /** `isUnreadable` is asked at each look. */
  constructor(random: SimRandom, isUnreadable: () => boolean) {
    this.#random = random;
    this.#isUnreadable = isUnreadable;
  }

  /** No block is free: what needs one fails. */
  get isFull(): boolean {
    return this.#freeBytes === 0;
  }

  become(level: SpaceLevel): void {
    const [low, high] = LEVELS[level];
    this.#freeBytes = Math.floor(this.#random.between(low, high) * WATERMARK_BYTES);
  }

  async freeBytes(): Promise<number> {
    if (this.#isUnreadable()) throw systemError("EIO", "statfs", ".");
    return this.#freeBytes;
  }
}
