/** Lets nobody pass while it is shut. */
export class Gate {
  #isShut = false;
  readonly #waiting = new Set<() => void>();

  get isShut(): boolean {
    return this.#isShut;
  }

  shut(): void {
    this.#isShut = true;
  }

  open(): void {
    this.#isShut = false;
    for (const pass of this.#waiting) pass();
    this.#waiting.clear();
  }

  /** Resolves once it is open; rejects with the reason of `signal` once that is aborted. */
  async pass(signal: AbortSignal): Promise<void> {
    while (this.#isShut) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const go = (): void => {
          signal.removeEventListener("abort", go);
          this.#waiting.delete(go);
          resolve();
        };
        this.#waiting.add(go);
        signal.addEventListener("abort", go, { once: true });
      });
    }
    signal.throwIfAborted();
  }
}
