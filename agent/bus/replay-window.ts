/**
 * Drops what was received before, by a sliding window of bits over sequence numbers (RFC 6479): a number above
 * the window moves it, one inside is taken once, one below is refused, because it can no longer be told whether
 * it is new. MQTT duplicates and reorders; the window only has to be wider than the reordering.
 *
 * The bits form a ring of 32-bit words. One word more than the window is kept, so that moving the window clears
 * whole words and never a bit that is still needed.
 */
export class ReplayWindow {
  readonly #windowSize: number;
  readonly #words: Uint32Array;
  #highest = -1;

  /** `windowSize` in sequence numbers, a multiple of 32. */
  constructor(windowSize: number) {
    this.#windowSize = windowSize;
    this.#words = new Uint32Array(windowSize / 32 + 1);
  }

  /** True the first time for each `seq` that is not too old; false otherwise. */
  accept(seq: number): boolean {
    if (seq > this.#highest) this.#advance(seq);
    else if (seq <= this.#highest - this.#windowSize) return false;
    const word = Math.floor(seq / 32) % this.#words.length;
    const bit = 1 << (seq % 32);
    const bits = this.#words[word] ?? 0;
    if ((bits & bit) !== 0) return false;
    this.#words[word] = bits | bit;
    return true;
  }

  #advance(seq: number): void {
    const length = this.#words.length;
    const from = Math.floor(this.#highest / 32);
    const to = Math.floor(seq / 32);
    const steps = Math.min(to - from, length);
    for (let step = 0; step < steps; step++) this.#words[(to - step) % length] = 0;
    this.#highest = seq;
  }
}

export const REPLAY_VERDICTS = ["fresh", "duplicate", "old-session"] as const;
export type ReplayVerdict = (typeof REPLAY_VERDICTS)[number];

interface SenderWindow {
  readonly session: number;
  readonly window: ReplayWindow;
  lastUse: number;
}

/**
 * One window per sender, for its newest session. The number of senders is bounded; the one that was silent
 * longest makes room.
 */
export class ReplayGuard {
  readonly #windowSize: number;
  readonly #sendersMax: number;
  readonly #senders = new Map<string, SenderWindow>();
  #uses = 0;

  constructor(limits: { readonly replayWindow: number; readonly sendersMax: number }) {
    this.#windowSize = limits.replayWindow;
    this.#sendersMax = limits.sendersMax;
  }

  check(from: string, session: number, seq: number): ReplayVerdict {
    let sender = this.#senders.get(from);
    if (sender === undefined || session > sender.session) {
      if (sender === undefined && this.#senders.size >= this.#sendersMax) this.#evict();
      sender = { session, window: new ReplayWindow(this.#windowSize), lastUse: 0 };
      this.#senders.set(from, sender);
    }
    if (session < sender.session) return "old-session";
    sender.lastUse = ++this.#uses;
    return sender.window.accept(seq) ? "fresh" : "duplicate";
  }

  #evict(): void {
    let oldest: string | null = null;
    let oldestUse = Number.POSITIVE_INFINITY;
    for (const [from, sender] of this.#senders) {
      if (sender.lastUse >= oldestUse) continue;
      oldest = from;
      oldestUse = sender.lastUse;
    }
    if (oldest !== null) this.#senders.delete(oldest);
  }
}
