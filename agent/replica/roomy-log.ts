import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "../store/types.ts";
import type { ReplicaLog } from "./ports.ts";

export interface RoomyLogOptions {
  readonly log: ReplicaLog;
  /** Why there is no room for entries, as a sentence; null while there is some. */
  readonly refusal: () => string | null;
  readonly clock: Clock;
}

/**
 * A log that takes no entries while there is no room for them, though it might: what is left is for terms and votes, and for
 * forgetting what is not needed any more. To its user it is a log that is full.
 */
export class RoomyLog implements ReplicaLog {
  readonly #options: RoomyLogOptions;
  /** Something was refused for this, and its owner does not know yet: nothing may become durable before it. */
  #refused: string | null = null;

  constructor(options: RoomyLogOptions) {
    this.#options = options;
  }

  append(batch: Parameters<ReplicaLog["append"]>[0]): Promise<void> {
    const { log, refusal, clock } = this.#options;
    if (this.#refused !== null) return Promise.reject(full(this.#refused));
    const reason = batch.entries.length === 0 ? null : refusal();
    if (reason === null) return log.append(batch);
    // mark: disk: entries wait for room
    this.#refused = reason;
    clock.defer(() => {
      this.#refused = null;
    });
    return Promise.reject(full(reason));
  }

  compact(base: LogPosition): Promise<void> {
    return this.#refused === null ? this.#options.log.compact(base) : Promise.reject(full(this.#refused));
  }
}

function full(reason: string): TrivetError {
  return new TrivetError("log-full", reason);
}
