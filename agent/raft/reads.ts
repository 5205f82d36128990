/** A linearizable read: it may be served once the store has applied `index` (Raft thesis 6.4). */
export interface ReadResult {
  readonly id: number;
  /** Null if leadership was lost before it was confirmed. */
  readonly index: number | null;
}

/**
 * Reads that wait for proof that this leader still led when they were asked.
 *
 * All reads that come between two flushes share one round. A round is named by a context that only grows within a
 * term; a read waits for the first round that began after it.
 */
export class Reads {
  readonly #results: ReadResult[] = [];
  #gathering: number[] = [];
  #waiting: { readonly context: number; readonly index: number; readonly ids: readonly number[] }[] = [];
  #context = 0;

  /** The newest round. */
  get context(): number {
    return this.#context;
  }

  add(id: number): void {
    this.#gathering.push(id);
  }

  /** Starts a round for what has gathered. False if there is nothing to confirm. */
  beginRound(commit: number): boolean {
    if (this.#gathering.length === 0) return false;
    this.#context++;
    this.#waiting.push({ context: this.#context, index: commit, ids: this.#gathering });
    this.#gathering = [];
    return true;
  }

  /** A quorum has confirmed every round up to `context`. */
  confirmed(context: number): void {
    while (this.#waiting[0] !== undefined && this.#waiting[0].context <= context) {
      const { ids, index } = this.#waiting[0];
      this.#waiting.shift();
      for (const id of ids) this.#results.push({ id, index });
    }
  }

  /** Leadership is over: none of them can be confirmed any more. */
  abort(): void {
    for (const round of this.#waiting) for (const id of round.ids) this.#results.push({ id, index: null });
    for (const id of this.#gathering) this.#results.push({ id, index: null });
    this.#waiting = [];
    this.#gathering = [];
  }

  takeResults(): ReadResult[] {
    return this.#results.splice(0);
  }
}
