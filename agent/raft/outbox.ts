import { invariant } from "../platform/invariant.ts";
import type { Message } from "./messages.ts";
import type { Entry, HardState, LogPosition } from "./types.ts";

/** One batch for the durable log. Its entries replace everything from the first one's index on. */
export interface LogWrite {
  /** Grows by one a batch; to be given back to `Raft.persisted` once this batch is durable. */
  readonly sequence: number;
  /**
   * The state machine was replaced by a snapshot of this position. Before all else, the log is to forget everything up to
   * it; where it does not hold this very position, everything. What goes on behind it and is not durable comes with this
   * write, be it for the second time: so writes before this one that have not reached the disk are void.
   */
  readonly restored: LogPosition | null;
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
}

/**
 * Holds every message back until the log writes that it speaks of are durable: what leaves here can never be taken
 * back by a crash.
 *
 * A disk may hang while the others ask again and again: of two messages that wait for the same write, one that says all
 * that the other does is enough. So what is held is bounded by members, kinds and open writes.
 *
 * Writes are numbered. `#issued` is the last one handed out, `#durable` the last one that came back; what changes
 * now goes out with write `#issued + 1`.
 */
export class Outbox {
  #issued = 0;
  #durable = 0;
  /** The last one whose term and vote came back: ahead of `#durable` while entries wait for room. */
  #hardStateDurable = 0;
  /** The write that carries the present term and vote. */
  #hardStateWrite = 0;
  #ready: Message[] = [];
  /** In order of `after`, which never falls. */
  readonly #heldForEntries: Held[] = [];
  readonly #heldForHardState: Held[] = [];

  /** May leave at once: it says nothing that a crash could take back. */
  send(message: Message): void {
    this.#ready.push(message);
  }

  /** Leaves once the present term and vote are durable. */
  sendAfterHardState(message: Message): void {
    this.#hold(this.#heldForHardState, this.#hardStateWrite, this.#hardStateDurable, message);
  }

  /** Leaves once everything is durable that has entered the log or the hard state until now. */
  sendAfterEverything(message: Message, isDirty: boolean): void {
    this.#hold(this.#heldForEntries, isDirty ? this.#issued + 1 : this.#issued, this.#durable, message);
  }

  /** The term or the vote has changed: they go out with the next write. */
  hardStateChanged(): void {
    this.#hardStateWrite = this.#issued + 1;
  }

  get isHardStateDirty(): boolean {
    return this.#hardStateWrite > this.#issued;
  }

  /** Numbers a new write. */
  issueWrite(write: Omit<LogWrite, "sequence">): LogWrite {
    this.#issued++;
    return { sequence: this.#issued, ...write };
  }

  /** Writes up to `sequence` are durable: lets go what waited for them. */
  writesDurable(sequence: number): void {
    invariant(
      sequence > this.#durable && sequence <= this.#issued,
      `write ${sequence} came back out of turn`,
    );
    this.#durable = sequence;
    this.hardStateDurable(sequence);
    this.#release(this.#heldForEntries, sequence);
  }

  /**
   * The terms and votes of writes up to `sequence` are durable, though their entries may not be: lets go what waited for no more.
   * A vote promises nothing of entries that were not answered for (Raft 5.2).
   */
  hardStateDurable(sequence: number): void {
    invariant(
      sequence <= this.#issued,
      `the hard state of write ${sequence} came back before it was handed out`,
    );
    this.#hardStateDurable = Math.max(this.#hardStateDurable, sequence);
    this.#release(this.#heldForHardState, this.#hardStateDurable);
  }

  /** The terms and votes of the writes up to this one are durable. */
  get hardStateDurableUpTo(): number {
    return this.#hardStateDurable;
  }

  /** Everything that may leave now, in order. */
  take(): Message[] {
    const messages = this.#ready;
    this.#ready = [];
    return messages;
  }

  #hold(queue: Held[], after: number, durable: number, message: Message): void {
    if (after <= durable) {
      this.#ready.push(message);
      return;
    }
    for (let at = queue.length - 1; queue[at]?.after === after; at--) {
      const held = queue[at]?.message;
      if (held === undefined || (!covers(message, held) && !covers(held, message))) continue;
      if (covers(message, held)) queue[at] = { after, message };
      return;
    }
    queue.push({ after, message });
  }

  #release(queue: Held[], durable: number): void {
    const kept = queue.findIndex((held) => held.after > durable);
    for (const held of queue.splice(0, kept === -1 ? queue.length : kept)) this.#ready.push(held.message);
  }
}

interface Held {
  readonly after: number;
  readonly message: Message;
}

/** True if who gets `message` need not get `other` any more. Members repeat themselves, except in these. */
function covers(message: Message, other: Message): boolean {
  if (message.kind !== other.kind || message.to !== other.to) return false;
  if (message.term !== other.term) return message.term > other.term;
  if (message.kind === "append-response" && other.kind === "append-response") {
    return (message.hint === null) === (other.hint === null) && message.index >= other.index;
  }
  if (message.kind === "heartbeat-response" && other.kind === "heartbeat-response") {
    if (message.readContext !== other.readContext) return message.readContext > other.readContext;
    return message.sentMs >= other.sentMs;
  }
  return true;
}
