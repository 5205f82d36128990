import type { Clock, Timer } from "../platform/clock.ts";
import type { Fragment } from "./envelope.ts";

export interface FragmentSenderOptions {
  readonly limits: {
    readonly fragmentBytes: number;
    readonly fragmentBacklogBytes: number;
    readonly fragmentQueueBytesMax: number;
    readonly assemblyTimeoutMs: number;
  };
  readonly clock: Clock;
  /** Bytes that wait on the way to a node; null if there is no way. */
  readonly backlogBytes: (to: string) => number | null;
  /** Sends one fragment; false if it was dropped. */
  readonly sendFragment: (to: string, kind: string, part: Uint8Array, fragment: Fragment) => boolean;
}

interface Outgoing {
  readonly kind: string;
  readonly body: Uint8Array;
  readonly messageId: number;
  readonly count: number;
  next: number;
}

interface Queue {
  readonly bodies: Outgoing[];
  /** All is given up when nothing could be sent until then: the receiver has given up too. */
  deadlineMs: number;
}

/** How often a full way is looked at again: 256 KiB each time are more than 100 MB/s. */
const POLL_MS = 2;

/**
 * Sends large bodies in fragments, body after body for each receiver, and only as fast as the way there drains:
 * a 16 MiB burst in the socket would hold up the heartbeats behind it for longer than an election timeout.
 */
export class FragmentSender {
  readonly #options: FragmentSenderOptions;
  readonly #queues = new Map<string, Queue>();
  #queuedBytes = 0;
  #messageId = 0;
  #timer: Timer | null = null;

  constructor(options: FragmentSenderOptions) {
    this.#options = options;
  }

  /** Bytes of bodies that are not sent completely. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Takes a body, which must not be changed any more. False if too much is queued. */
  send(to: string, kind: string, body: Uint8Array): boolean {
    const { limits, clock } = this.#options;
    if (this.#queuedBytes + body.byteLength > limits.fragmentQueueBytesMax) return false;
    const count = Math.ceil(body.byteLength / limits.fragmentBytes);
    const outgoing = { kind, body, messageId: this.#messageId++, count, next: 0 };
    this.#queuedBytes += body.byteLength;
    const queue = this.#queues.get(to);
    const deadlineMs = clock.nowMs() + limits.assemblyTimeoutMs;
    if (queue === undefined) this.#queues.set(to, { bodies: [outgoing], deadlineMs });
    else queue.bodies.push(outgoing);
    this.#pump();
    return true;
  }

  close(): void {
    this.#timer?.cancel();
    this.#queues.clear();
    this.#queuedBytes = 0;
  }

  #pump(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const nowMs = this.#options.clock.nowMs();
    for (const [to, queue] of this.#queues) {
      this.#pumpQueue(to, queue, nowMs);
      if (queue.deadlineMs <= nowMs) while (queue.bodies.length > 0) this.#shift(queue);
      if (queue.bodies.length === 0) this.#queues.delete(to);
    }
    if (this.#queues.size > 0) this.#timer = this.#options.clock.setTimer(POLL_MS, () => this.#pump());
  }

  #pumpQueue(to: string, queue: Queue, nowMs: number): void {
    const { backlogBytes, limits } = this.#options;
    for (let head = queue.bodies[0]; head !== undefined; head = queue.bodies[0]) {
      while (head.next < head.count) {
        const backlog = backlogBytes(to);
        if (backlog === null || backlog >= limits.fragmentBacklogBytes || !this.#sendNext(to, head)) return;
        queue.deadlineMs = nowMs + limits.assemblyTimeoutMs;
      }
      this.#shift(queue);
    }
  }

  #shift(queue: Queue): void {
    this.#queuedBytes -= queue.bodies.shift()?.body.byteLength ?? 0;
  }

  #sendNext(to: string, outgoing: Outgoing): boolean {
    const { kind, body, messageId, count, next } = outgoing;
    const partBytes = Math.ceil(body.byteLength / count);
    const part = body.subarray(next * partBytes, (next + 1) * partBytes);
    const fragment = { messageId, index: next, count, totalBytes: body.byteLength };
    if (!this.#options.sendFragment(to, kind, part, fragment)) return false;
    outgoing.next += 1;
    return true;
  }
}
