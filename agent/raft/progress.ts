import { invariant } from "../platform/invariant.ts";
import type { RaftLimits } from "./raft-limits.ts";

/** What one more round trip weighs in the smoothed one, as in TCP (RFC 6298). */
const RTT_GAIN = 1 / 8;

export interface ProgressOptions {
  readonly next: number;
  readonly nowMs: number;
  readonly limits: Pick<RaftLimits, "inFlightMessagesMax" | "inFlightBytesMax">;
}

export type ProgressState = "probe" | "replicate" | "snapshot";

/**
 * What a leader knows of one peer's log.
 *
 *     match < next      everything up to match is durable there; next is the first entry to send
 *
 * probe: it is not known where the logs agree. One append at a time, until one is accepted.
 * replicate: they agree up to next - 1 unless a datagram was lost. Appends are pipelined within the window.
 * snapshot: what the peer needs is not in the log any more. No appends, until it has fetched a snapshot that reaches the log.
 */
export class Progress {
  readonly #limits: ProgressOptions["limits"];
  #match = 0;
  #next: number;
  #state: ProgressState = "probe";
  /** In probe: an append is out and has not been answered. */
  #isProbeOut = false;
  /** In replicate: the last index and weight of each append that has not been answered, oldest first. */
  #inFlight: { readonly lastIndex: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  #readContext = 0;
  #retriedMs: number;
  #rttMs: number | null = null;
  /** When the newest heartbeat that was answered had been sent. */
  #echoedMs = 0;
  heardMs: number;

  constructor(options: ProgressOptions) {
    this.#limits = options.limits;
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

  get state(): ProgressState {
    return this.#state;
  }

  /** The newest read round that this peer has confirmed. */
  get readContext(): number {
    return this.#readContext;
  }

  /** The smoothed round trip of heartbeats; null before the first. */
  get rttMs(): number | null {
    return this.#rttMs;
  }

  get canSend(): boolean {
    if (this.#state === "snapshot") return false;
    if (this.#state === "probe") return !this.#isProbeOut;
    const { inFlightMessagesMax, inFlightBytesMax } = this.#limits;
    return this.#inFlight.length < inFlightMessagesMax && this.#inFlightBytes < inFlightBytesMax;
  }

  /** An append with entries from `next` to `lastIndex` leaves. */
  sent(lastIndex: number, bytes: number): void {
    invariant(lastIndex >= this.#next - 1, `sent up to ${lastIndex}, before next ${this.#next}`);
    invariant(this.#state !== "snapshot", "an append was sent to a peer that needs a snapshot");
    if (this.#state === "probe") {
      this.#isProbeOut = true;
      return;
    }
    if (lastIndex < this.#next) return;
    this.#next = lastIndex + 1;
    this.#inFlight.push({ lastIndex, bytes });
    this.#inFlightBytes += bytes;
  }

  /**
   * The peer holds everything up to `index`, durably; the log begins behind `baseIndex`. True if that is news. Late and
   * doubled answers are not.
   */
  accepted(index: number, baseIndex: number): boolean {
    const isNews = index > this.#match;
    if (isNews) this.#match = index;
    this.#next = Math.max(this.#next, index + 1);
    while (this.#inFlight[0] !== undefined && this.#inFlight[0].lastIndex <= index) {
      this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0;
    }
    const isProbed = this.#state === "probe" && index >= this.#next - 1;
    const isReached = this.#state === "snapshot" && index >= baseIndex;
    if (isProbed || isReached) {
      this.#state = "replicate";
      this.#isProbeOut = false;
    }
    return isNews;
  }

  /**
   * The peer refused an append behind `rejectedIndex`; the logs may agree at `hintIndex` at best. If that is news, the peer is probed
   * from there.
   */
  rejected(rejectedIndex: number, hintIndex: number): void {
    switch (this.#state) {
      case "replicate":
        // What is durable there is never refused: this answer has been overtaken.
        if (rejectedIndex <= this.#match) {
          // mark: raft: a rejection comes late
          return;
        }
        this.#restart("probe", this.#match + 1);
        return;
      case "probe":
        // Of another probe than the one that is out.
        if (rejectedIndex !== this.#next - 1) return;
        this.#restart("probe", Math.max(Math.min(rejectedIndex, hintIndex + 1), this.#match + 1));
        return;
      case "snapshot":
        // Nothing is appended there now.
        return;
    }
  }

  /** The next entry to send is gone. */
  becomeSnapshot(): void {
    this.#restart("snapshot", this.#match + 1);
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

  /** A heartbeat that left at `sentMs` is answered. Each counts once, and none that a newer one has overtaken. */
  echoed(sentMs: number, nowMs: number): void {
    if (sentMs <= this.#echoedMs || sentMs > nowMs) return;
    this.#echoedMs = sentMs;
    const rttMs = nowMs - sentMs;
    this.#rttMs = this.#rttMs === null ? rttMs : this.#rttMs + RTT_GAIN * (rttMs - this.#rttMs);
  }

  #restart(state: ProgressState, next: number): void {
    this.#state = state;
    this.#next = next;
    this.#isProbeOut = false;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
  }
}
