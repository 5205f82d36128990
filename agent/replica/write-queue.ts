import type { LogWrite } from "../raft/outbox.ts";
import type { Entry, HardState } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";

/** One write, or several that have waited together. */
export interface PendingWrite {
  sequence: number;
  /** Null without a snapshot, or once the log stands on it. */
  restored: LogPosition | null;
  hardState: HardState;
  entries: readonly Entry[];
  state: "waiting" | "out" | "durable";
}

/** Consensus' writes that are not durable yet, oldest first. What is durable leaves at the front only. */
export class WriteQueue {
  #writes: PendingWrite[] = [];

  get newest(): PendingWrite | undefined {
    return this.#writes.at(-1);
  }

  get isEmpty(): boolean {
    return this.#writes.length === 0;
  }

  get isAnyOut(): boolean {
    return this.#writes.some(({ state }) => state === "out");
  }

  /** As they are now. */
  get all(): readonly PendingWrite[] {
    return [...this.#writes];
  }

  add(write: LogWrite): PendingWrite {
    const pending: PendingWrite = { ...write, state: "waiting" };
    this.#writes.push(pending);
    return pending;
  }

  /** Adds what has to wait, together with what waits before it where that is possible: so a long wait gathers nothing. */
  addWaiting(write: LogWrite): void {
    const last = this.newest;
    if (last?.state !== "waiting" || write.restored !== null) {
      this.add(write);
      return;
    }
    // It replaces from its first entry on, and its hard state is the newer one.
    const [first] = write.entries;
    const kept = first === undefined ? last.entries : last.entries.filter(({ index }) => index < first.index);
    last.entries = [...kept, ...write.entries];
    last.hardState = write.hardState;
    last.sequence = write.sequence;
  }

  /** Takes what is durable from the front. */
  takeDurable(): readonly PendingWrite[] {
    const kept = this.#writes.findIndex(({ state }) => state !== "durable");
    return this.#writes.splice(0, kept === -1 ? this.#writes.length : kept);
  }

  /**
   * The write with the newest snapshot that the log does not stand on; undefined if there is none. What waits before it is void (see
   * `LogWrite.restored`) and forgotten. Nothing may be out.
   */
  takeRestoring(): PendingWrite | undefined {
    const at = this.#writes.findLastIndex(({ restored }) => restored !== null);
    if (at === -1) return undefined;
    this.#writes = this.#writes.slice(at);
    return this.#writes[0];
  }
}
