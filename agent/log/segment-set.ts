import { invariant } from "../platform/invariant.ts";
import type { LogRecord } from "./log-record.ts";

/** No segment file is ever shorter. */
export const SEGMENT_BYTES_MIN = 4096;

export interface Segment {
  readonly number: number;
  /** Size of the file. */
  readonly bytes: number;
}

interface LiveSegment extends Segment {
  /** The highest index of an entry in it that no later record has replaced or dropped; 0 if there is none. */
  lastIndex: number;
}

/** Which segments still hold something. Oldest first; the last one is being written. */
export class SegmentSet {
  readonly #segments: LiveSegment[] = [];

  get count(): number {
    return this.#segments.length;
  }

  /** Size of all the files together. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** From now on records go to this segment. */
  add({ number, bytes }: Segment): void {
    this.#segments.push({ number, bytes, lastIndex: 0 });
  }

  /** A record of the stream, going to the newest segment. */
  note(record: LogRecord): void {
    switch (record.kind) {
      case "noop":
      case "configuration":
      case "command": {
        const newest = this.#segments.at(-1);
        invariant(newest !== undefined, "An entry outside of every segment");
        this.#dropFrom(record.index);
        newest.lastIndex = record.index;
        return;
      }
      case "reset":
        this.#dropFrom(record.base.index + 1);
        return;
      case "hard-state":
      case "base":
      case "segment":
      case "closed":
        return;
    }
  }

  /** Removes and returns the segments in front that hold no entry behind `baseIndex`; never the newest one. */
  takeUnneeded(baseIndex: number): readonly Segment[] {
    const needed = this.#segments.findIndex((segment) => segment.lastIndex > baseIndex);
    const end = needed === -1 ? this.#segments.length - 1 : Math.min(needed, this.#segments.length - 1);
    return this.#segments.splice(0, Math.max(0, end));
  }

  /** From the newest back: where the highest index is below, no older segment has a higher one. */
  #dropFrom(index: number): void {
    for (let at = this.#segments.length - 1; at >= 0; at -= 1) {
      const segment = this.#segments[at];
      if (segment === undefined) return;
      if (segment.lastIndex >= index) segment.lastIndex = index - 1;
      else if (segment.lastIndex > 0) return;
    }
  }
}
