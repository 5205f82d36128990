import { invariant } from "../platform/invariant.ts";

/** How far one append may run ahead of its answers, for each peer. */
export const IN_FLIGHT_MESSAGES_MAX = 128;
export const IN_FLIGHT_BYTES_MAX = 1024 * 1024;

/**
 * What a leader knows of one peer's log.
 *
 *     match < next      everything up to match is durable there; next is the first entry to send
 *
 * probe: it is not known where the logs agree. One append at a time, until one is accepted.
 * replicate: they agree up to next - 1 unless a datagram was lost. Appends are pipelined within the window.
 */
export class Progress {
  #match = 0;
  #next: number;
  #state: "probe" | "replicate" = "probe";
  /** In probe: an append is out and has not been answered. */
  #isProbeOut = false;
  /** In replicate: the last index and weight of each append that has not been answered, oldest first. */
  #inFlight: { readonly lastIndex: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  #readContext = 0;
  #retriedMs: number;
  heardMs: number;

  constructor(options: { readonly next: number; readonly nowMs: number }) {
    this.#next = options.next;
    // A new leader gives everyone one election timeout to answer.
    this.heardMs = options.nowMs;
    this.#retriedMs = options.nowMs;
  }

  get match(): number {
    return this.#match;
  }

  get next(): number {
    return this.#next;
  }

  get state(): "probe" | "replicate" {
    return this.#state;
  }

  /** The newest read round that this peer has confirmed. */
  get readContext(): number {
    return this.#readContext;
  }

  get canSend(): boolean {
    if (this.#state === "probe") return !this.#isProbeOut;
    return this.#inFlight.length < IN_FLIGHT_MESSAGES_MAX && this.#inFlightBytes < IN_FLIGHT_BYTES_MAX;
  }

  /** An append with entries from `next` to `lastIndex` leaves. */
  sent(lastIndex: number, bytes: number): void {
    invariant(lastIndex >= this.#next - 1, `sent up to ${lastIndex}, before next ${this.#next}`);
    if (this.#state === "probe") {
      this.#isProbeOut = true;
      return;
    }
    if (lastIndex < this.#next) return;
    this.#next = lastIndex + 1;
    this.#inFlight.push({ lastIndex, bytes });
    this.#inFlightBytes += bytes;
  }

  /** The peer holds everything up to `index`, durably. True if that is news. Late and doubled answers are not. */
  accepted(index: number): boolean {
    const isNews = index > this.#match;
    if (isNews) this.#match = index;
    this.#next = Math.max(this.#next, index + 1);
    while (this.#inFlight[0] !== undefined && this.#inFlight[0].lastIndex <= index) {
      this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0;
    }
    if (this.#state === "probe" && index >= this.#next - 1) {
      this.#state = "replicate";
      this.#isProbeOut = false;
    }
    return isNews;
  }

  /**
   * The peer refused an append behind `rejectedIndex`; the logs may agree at `hintIndex` at best. True if that is
   * news and the peer must be probed from there.
   */
  rejected(rejectedIndex: number, hintIndex: number): boolean {
    if (this.#state === "replicate") {
      // What is durable there is never refused: this answer has been overtaken.
      if (rejectedIndex <= this.#match) return false;
      this.#becomeProbe(this.#match + 1);
      return true;
    }
    if (rejectedIndex !== this.#next - 1) return false;
    this.#becomeProbe(Math.max(Math.min(rejectedIndex, hintIndex + 1), this.#match + 1));
    return true;
  }

  /**
   * The peer answers, but not to its appends: one may have been lost. True, and another probe is allowed, if the last
   * time was at least `intervalMs` ago.
   */
  maybeRetry(nowMs: number, intervalMs: number): boolean {
    if (nowMs - this.#retriedMs < intervalMs) return false;
    this.#retriedMs = nowMs;
    this.#isProbeOut = false;
    return true;
  }

  /** Contexts only grow: an old answer, doubled by the network, must not confirm a newer round. */
  confirmedRead(context: number): void {
    this.#readContext = Math.max(this.#readContext, context);
  }

  #becomeProbe(next: number): void {
    this.#state = "probe";
    this.#next = next;
    this.#isProbeOut = false;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
  }
}
