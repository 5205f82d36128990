/** The disk under the databases of a node: now and then it does not answer for a while, though all else of the node goes on. */
export class StoreHang {
  /** Null while it answers. */
  #waiting: (() => void)[] | null = null;

  get isOn(): boolean {
    return this.#waiting !== null;
  }

  begin(): void {
    this.#waiting ??= [];
  }

  /** What has waited goes on, in its order. */
  end(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const goOn of waiting) goOn();
  }

  /** `goOn` is called at the end of the hang. */
  wait(goOn: () => void): void {
    this.#waiting?.push(goOn);
  }
}
