import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "../store/types.ts";
import type { DiskState } from "./disk-state.ts";
import type { ReplicaLog } from "./ports.ts";

/**
 * A log that takes no entries while the disk is full, though it might: the room that is left is for terms and votes, and for
 * forgetting what is not needed any more. To its user it is a log that is full.
 */
export class RoomyLog implements ReplicaLog {
  readonly #log: ReplicaLog;
  readonly #disk: () => DiskState;
  readonly #clock: Clock;
  /** Something was refused, and its owner does not know yet: nothing may become durable before it. */
  #isRefusing = false;

  constructor(options: { readonly log: ReplicaLog; readonly disk: () => DiskState; readonly clock: Clock }) {
    this.#log = options.log;
    this.#disk = options.disk;
    this.#clock = options.clock;
  }

  append(batch: Parameters<ReplicaLog["append"]>[0]): Promise<void> {
    if (this.#isRefusing) return Promise.reject(full());
    if (batch.entries.length === 0 || this.#disk() !== "critical") return this.#log.append(batch);
    // mark: disk: entries wait for room
    this.#isRefusing = true;
    this.#clock.defer(() => {
      this.#isRefusing = false;
    });
    return Promise.reject(full());
  }

  /** A snapshot takes the place of the entries before it: of those that were refused, too, unless it is refused with them. */
  compact(base: LogPosition): Promise<void> {
    return this.#isRefusing ? Promise.reject(full()) : this.#log.compact(base);
  }
}

function full(): TrivetError {
  return new TrivetError("log-full", "The disk is full: entries wait until there is room. Free space on it.");
}
