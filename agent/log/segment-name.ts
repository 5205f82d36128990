const NAME = /^(\d{10})\.log$/;

/** A segment that is being made: not one yet, whatever is in it. */
export const UNFINISHED_SEGMENT_NAME = "next.tmp";

/** `number` from 1, below 2^32. */
export function segmentName(number: number): string {
  return `${String(number).padStart(10, "0")}.log`;
}

/** The number of the segment in this file; undefined if the file is none. */
export function parseSegmentName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
