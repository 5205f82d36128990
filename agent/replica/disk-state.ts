/**
 * What a node does with the room that its disk has left:
 *
 *     ok         everything
 *     low        leads only where nobody else can, takes no client's writes, goes on following: the room that is left is for that
 *     critical   neither appends entries nor applies them; votes and reads go on
 */
export const DISK_STATES = ["ok", "low", "critical"] as const;
export type DiskState = (typeof DISK_STATES)[number];

/** Below this part of the watermark the room is kept for what must not fail: votes, a checkpoint, and freeing space. */
const RESERVE_PART = 1 / 4;
/** A state is left only this much above where it began, so that a disk at the edge does not make it flap. */
const HYSTERESIS = 1.125;

/** The state of a disk with `freeBytes`, after `before`. A watermark of 0 bytes switches the watch off. */
export function diskStateOf(freeBytes: number, before: DiskState, watermarkBytes: number): DiskState {
  const isBelow = (bytes: number, isInside: boolean): boolean =>
    freeBytes < (isInside ? bytes * HYSTERESIS : bytes);
  if (isBelow(watermarkBytes * RESERVE_PART, before === "critical")) return "critical";
  return isBelow(watermarkBytes, before !== "ok") ? "low" : "ok";
}

/** For messages; null if it is not known. */
export function describeRoom(bytes: number | null): string {
  return bytes === null ? "an unknown amount" : `${Math.floor(bytes / 1024)} KiB`;
}
