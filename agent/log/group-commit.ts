import { logError } from "./log-errors.ts";

interface Waiting<T> {
  readonly item: T;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A queue in front of something slow that takes many items as easily as one: while it works, the next items gather and
 * go out together, in order.
 *
 * If one group fails, all that wait behind it fail with it: they build on it.
 */
export class GroupCommit<T> {
  readonly #commit: (items: readonly T[]) => Promise<void>;
  readonly #groupBytesMax: number;
  readonly #queueBytesMax: number;
  readonly #onFailed: () => void;
  #queue: Waiting<T>[] = [];
  #queuedBytes = 0;
  /** Something was turned away: so is all that comes behind it, until what waits has gone out. */
  #isFull = false;
  #last: Promise<void> | undefined;
  #running: Promise<void> | undefined;

  /** `commit` is never called again before it has settled. */
  constructor(options: {
    readonly commit: (items: readonly T[]) => Promise<void>;
    /** A group ends before it exceeds this, unless one item alone does. */
    readonly groupBytesMax: number;
    readonly queueBytesMax: number;
    /** A group has failed and nothing waits any more: what was submitted is void. Called before it is rejected. */
    readonly onFailed: () => void;
  }) {
    this.#commit = options.commit;
    this.#groupBytesMax = options.groupBytesMax;
    this.#queueBytesMax = options.queueBytesMax;
    this.#onFailed = options.onFailed;
  }

  /** Throws `log-busy` if too much waits for an item of `bytes` to be taken now: what comes later must not get ahead of it. */
  checkRoom(bytes: number): void {
    if (this.#queue.length === 0) this.#isFull = false;
    else this.#isFull ||= this.#queuedBytes + bytes > this.#queueBytesMax;
    if (!this.#isFull) return;
    const state = `${this.#queuedBytes} bytes wait to be written, at most ${this.#queueBytesMax} may`;
    throw logError("log-busy", `The Raft log takes no more for now: ${state}. Try again later.`);
  }

  /** Settles as the group does that the item goes out with. */
  submit(item: T, bytes: number): Promise<void> {
    this.#last = new Promise((resolve, reject) => {
      this.#queue.push({ item, bytes, resolve, reject });
    });
    this.#queuedBytes += bytes;
    this.#running ??= this.#run();
    return this.#last;
  }

  /** Settles as the last item that was submitted; resolved if nothing waits. */
  afterLast(): Promise<void> {
    return this.#last ?? Promise.resolve();
  }

  async #run(): Promise<void> {
    // What is submitted in the same turn goes out together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#commit(group.map(({ item }) => item));
        for (const { resolve } of group) resolve();
      } catch (error) {
        const behind = this.#queue;
        this.#queue = [];
        this.#queuedBytes = 0;
        this.#onFailed();
        for (const { reject } of [...group, ...behind]) reject(error);
      }
    }
    this.#running = undefined;
    this.#last = undefined;
  }

  #takeGroup(): readonly Waiting<T>[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      if (count > 0 && bytes + waiting.bytes > this.#groupBytesMax) break;
      bytes += waiting.bytes;
      count += 1;
    }
    this.#queuedBytes -= bytes;
    return this.#queue.splice(0, count);
  }
}
