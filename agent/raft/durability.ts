/** A write on its way to the disk. */
interface OpenWrite {
  readonly sequence: number;
  readonly issuedMs: number;
  /** The log equals the disk up to here once it is done: less than was written, if the log was cut or replaced meanwhile. */
  lastIndex: number;
}

/**
 * How much of the log this member holds durably, and what is on its way there.
 *
 *     persisted < unstable <= last index + 1
 *
 * Up to `persisted` entries are durable, in the log or in the state machine; from `unstable` on they have not been handed
 * out to be written.
 */
export class Durability {
  #persisted: number;
  #unstable: number;
  /** Oldest first. */
  readonly #openWrites: OpenWrite[] = [];

  /** Of a log that was read from the disk and ends with `lastIndex`. */
  constructor(lastIndex: number) {
    this.#persisted = lastIndex;
    this.#unstable = lastIndex + 1;
  }

  get persisted(): number {
    return this.#persisted;
  }

  get unstable(): number {
    return this.#unstable;
  }

  /** When the oldest write behind `sequence` was handed out that is not done; infinity if all are. */
  oldestIssuedMs(sequence: number): number {
    const open = this.#openWrites.find((write) => write.sequence > sequence);
    return open?.issuedMs ?? Number.POSITIVE_INFINITY;
  }

  /** The log has forgotten `from` and everything behind it. */
  truncated(from: number): void {
    this.#persisted = Math.min(this.#persisted, from - 1);
    this.#unstable = Math.min(this.#unstable, from);
    this.#disown(from - 1);
  }

  /**
   * The state machine holds everything up to `index` durably, and the log goes on behind it. What is on its way there is to be written
   * once more, with the snapshot: the writes that bring it may wait for room which only the snapshot makes, and need not be made then.
   */
  covered(index: number): void {
    this.#persisted = Math.max(this.#persisted, index);
    this.#unstable = this.#persisted + 1;
    this.#disown(this.#persisted);
  }

  /** Likewise, and the log begins anew behind it. */
  replaced(index: number): void {
    this.#persisted = index;
    this.#unstable = index + 1;
    this.#disown(index);
  }

  /** A write goes out, with all that the log holds from `unstable` up to `lastIndex`. */
  handedOut(sequence: number, lastIndex: number, nowMs: number): void {
    this.#unstable = lastIndex + 1;
    this.#openWrites.push({ sequence, issuedMs: nowMs, lastIndex });
  }

  /** Writes up to `sequence` are done. Returns when each of them was handed out. */
  done(sequence: number): readonly number[] {
    const issuedMs: number[] = [];
    for (let first = this.#openWrites[0]; first && first.sequence <= sequence; first = this.#openWrites[0]) {
      this.#openWrites.shift();
      issuedMs.push(first.issuedMs);
      this.#persisted = Math.max(this.#persisted, first.lastIndex);
    }
    return issuedMs;
  }

  /**
   * What open writes bring behind `index` counts no more, even if the same entries come back: a write that is open as well
   * cuts them off, and the disk may end there (the ABA problem). The write that brings them again will count.
   */
  #disown(index: number): void {
    for (const write of this.#openWrites) {
      if (write.lastIndex <= index) continue;
      // mark: raft: the log moves on from a write that is not done
      write.lastIndex = index;
    }
  }
}
