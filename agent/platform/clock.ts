/** Time as the impure parts see it. Nothing else in the agent may ask for the time or set a timer. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; never goes back, not touched by NTP. */
  nowMs(): number;
  /** Wall clock in milliseconds since 1970, UTC. May jump either way. */
  wallMs(): number;
  /** Calls `callback` once, not before `delayMs` milliseconds have passed. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Calls `callback` once, soon: after the I/O events that are ready now, before any timer. */
  defer(callback: () => void): void;
}

export interface Timer {
  /** Idempotent; after it the callback is not called. */
  cancel(): void;
}

/** The clock of the machine. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    // Node cuts fractions off, and counts from a moment of its own that may be a millisecond behind: never too early.
    const timer = setTimeout(callback, Math.ceil(delayMs) + 1);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  defer(callback) {
    setImmediate(callback);
  },
};
