/** Permits so many restarts in a sliding time. */
export class RestartBudget {
  readonly #countMax: number;
  readonly #windowMs: number;
  #restartsMs: readonly number[] = [];

  constructor(options: { readonly countMax: number; readonly windowMs: number }) {
    this.#countMax = options.countMax;
    this.#windowMs = options.windowMs;
  }

  /** Takes one; false if there is none. */
  take(nowMs: number): boolean {
    const recent = this.#restartsMs.filter((restartMs) => nowMs - restartMs < this.#windowMs);
    if (recent.length >= this.#countMax) return false;
    this.#restartsMs = [...recent, nowMs];
    return true;
  }
}
