import type { Clock } from "../platform/clock.ts";

/** Receivers at once: more would only share the same disk and link. */
const READERS_MAX = 4;

/** Who asks for nothing so long has gone, or has found another source. Longer than a receiver waits before it gives this one up. */
const IDLE_MS = 30_000;

/** Who reads asks for the next piece sooner than that, also where some are lost. Longer, it holds up nobody who needs a newer snapshot. */
const READING_MS = 5_000;

/** Who gets nothing further for so long holds up nobody's writes: it, or its link, may be gone. */
const ADVANCING_MS = 1_500;

interface Reader {
  /** When it asked for something last. */
  readonly seenMs: number;
  /** When it was given something last that it may not have had. */
  readonly advancedMs: number;
  /** What it was given; what it has asked for twice, twice. */
  readonly givenBytes: number;
}

/** Who reads one snapshot, by node: who is there, and how they get on. */
export class SnapshotReaders {
  readonly #clock: Clock;
  readonly #totalBytes: number;
  readonly #openedMs: number;
  readonly #readers = new Map<string, Reader>();

  constructor(clock: Clock, totalBytes: number) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#openedMs = clock.nowMs();
  }

  get isEmpty(): boolean {
    return this.#readers.size === 0;
  }

  has(node: string): boolean {
    return this.#readers.has(node);
  }

  /** False where there are enough without it. */
  mayJoin(node: string): boolean {
    return this.has(node) || this.#readers.size < READERS_MAX;
  }

  /** It has asked for that much; 0 as long as it asks for the snapshot itself. */
  seen(node: string, bytes: number): void {
    const nowMs = this.#clock.nowMs();
    const { givenBytes, advancedMs } = this.#readers.get(node) ?? { givenBytes: 0, advancedMs: nowMs };
    // Who asks on and on for the same holds up nobody.
    const hasAdvanced = bytes > 0 && givenBytes < this.#totalBytes;
    this.#readers.set(node, {
      seenMs: nowMs,
      advancedMs: hasAdvanced ? nowMs : advancedMs,
      givenBytes: givenBytes + bytes,
    });
  }

  left(node: string): void {
    this.#readers.delete(node);
  }

  /** See `SnapshotServer.sentFraction`. */
  get sentFraction(): number | null {
    const sinceMs = this.#clock.nowMs() - ADVANCING_MS;
    const reading = [...this.#readers.values()].filter(({ advancedMs }) => advancedMs > sinceMs);
    if (reading.length === 0) return null;
    return Math.min(1, ...reading.map(({ givenBytes }) => givenBytes / this.#totalBytes));
  }

  isReadByOthers(node: string): boolean {
    const sinceMs = this.#clock.nowMs() - READING_MS;
    return [...this.#readers].some(([reader, { seenMs }]) => reader !== node && seenMs > sinceMs);
  }

  /** Until all that are there now will have gone without a word, if nobody asks for anything more. */
  get idleInMs(): number {
    const lastMs = Math.max(this.#openedMs, ...[...this.#readers.values()].map(({ seenMs }) => seenMs));
    return lastMs + IDLE_MS - this.#clock.nowMs();
  }

  /** Of those that have gone without a word. */
  forgetIdle(): void {
    const sinceMs = this.#clock.nowMs() - IDLE_MS;
    for (const [reader, { seenMs }] of this.#readers) if (seenMs <= sinceMs) this.#readers.delete(reader);
  }
}
