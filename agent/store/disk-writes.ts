import fs from "node:fs";

/** What SQLite writes to its files in this thread, counted; pages of a transaction are written before its end once they are too many to keep. */
export interface DiskWrites {
  /** So far. */
  readonly bytes: number;
  /** True from the write on that would go beyond the limit, until another limit is set. */
  readonly isExceeded: boolean;
  /** From now on; beyond it every write fails, which SQLite takes for a broken disk. */
  limit(bytes: number): void;
}

/** The build writes with the module's own `writeSync`, so it is counted there. Once a thread. */
export function countDiskWrites(): DiskWrites {
  const { writeSync } = fs;
  let [bytes, left, isExceeded] = [0, Number.POSITIVE_INFINITY, false];
  const counted = (
    file: number,
    buffer: Uint8Array,
    offset = 0,
    length = buffer.byteLength - offset,
    position: number | null = null,
  ): number => {
    left -= length;
    isExceeded ||= left < 0;
    if (isExceeded) throw new RangeError("SQLite may not write more");
    bytes += length;
    return writeSync(file, buffer, offset, length, position);
  };
  Object.assign(fs, { writeSync: counted });
  return {
    get bytes() {
      return bytes;
    },
    get isExceeded() {
      return isExceeded;
    },
    limit(most) {
      left = most;
      isExceeded = false;
    },
  };
}
