import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { Silence } from "../../agent/store/silence.ts";

/** What is asked of the store; it goes wrong in other ways. */
export type WorkKind =
  /** Changes files: if that fails, the store has failed for good. */
  | "change"
  | "question"
  /** Gives or takes a part of a snapshot. */
  | "transfer";

export interface ModelWorkOptions {
  /** Does things one after the other, each after some time; never again once the process has died. */
  readonly later: (act: () => void) => void;
  /** Calls `act` once, after `ms`. */
  readonly after: (ms: number, act: () => void) => { cancel(): void };
  readonly silence: Silence;
  /** Resolves when a piece of a snapshot has come from the disk, or to it. Holds up nothing else. */
  readonly transferred: () => Promise<void>;
  /** Asked before each piece of work. */
  readonly goesWrong: (kind: WorkKind) => boolean;
  /** The store has failed for good: its owner hears of it at once, whoever asked for what went wrong. */
  readonly onFailed: (error: TrivetError) => void;
}

const FAILURES: Readonly<Record<WorkKind, string>> = {
  change: "store-failed",
  question: "store-busy",
  transfer: "snapshot-failed",
};

/** The work of the model of the store: one piece after the other, in order. */
export class ModelWork {
  readonly #options: ModelWorkOptions;
  /** What ended it. */
  #end: TrivetError | null = null;
  #waiting = 0;
  /** Nothing is done meanwhile but what has the exclusive right. */
  #exclusive: Promise<void> | null = null;

  constructor(options: ModelWorkOptions) {
    this.#options = options;
  }

  /** Resolves with what `act` has given, behind all that was asked for before. Rejects with `store-busy` after `timeoutMs`. */
  async do<T>(kind: WorkKind, act: () => T, timeoutMs = Number.POSITIVE_INFINITY): Promise<T> {
    if (kind === "transfer") await this.#options.transferred();
    while (this.#exclusive !== null) await this.#exclusive;
    return this.#do(kind, act, timeoutMs);
  }

  /** See `Store.silentMs`. */
  get silentMs(): number {
    return this.#options.silence.ms;
  }

  /** Changes in steps that nobody else sees between, though a crash may come there. */
  async doExclusively(steps: readonly (() => void)[]): Promise<void> {
    while (this.#exclusive !== null) await this.#exclusive;
    let done = (): void => undefined;
    this.#exclusive = new Promise((resolve) => {
      done = resolve;
    });
    try {
      for (const step of steps) await this.#do("change", step);
    } finally {
      this.#exclusive = null;
      done();
    }
  }

  /** The databases have been found damaged. */
  fail(error: TrivetError): void {
    if (this.#end !== null) return;
    this.#end = error;
    this.#options.onFailed(error);
  }

  close(): void {
    this.#end ??= new TrivetError("store-closed", "The store is closed.");
  }

  get isClosed(): boolean {
    return this.#end?.code === "store-closed";
  }

  #do<T>(kind: WorkKind, act: () => T, timeoutMs = Number.POSITIVE_INFINITY): Promise<T> {
    if (this.#end !== null) return Promise.reject(this.#end);
    const { later, after, silence } = this.#options;
    return new Promise((resolve, reject) => {
      this.#waiting += 1;
      silence.asked();
      let isGivenUp = false;
      const giveUp = () => {
        isGivenUp = true;
        reject(new TrivetError("store-busy", `The model has not answered within ${timeoutMs} ms.`));
      };
      const deadline = Number.isFinite(timeoutMs) ? after(timeoutMs, giveUp) : null;
      later(() => {
        deadline?.cancel();
        this.#waiting -= 1;
        silence.answered(this.#waiting === 0);
        if (isGivenUp) return;
        try {
          if (this.#end !== null) throw this.#end;
          if (this.#options.goesWrong(kind)) throw this.#failed(kind);
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #failed(kind: WorkKind): TrivetError {
    const error = new TrivetError(FAILURES[kind], `The model does not carry out a ${kind}.`);
    if (kind === "change") this.fail(error);
    return error;
  }
}
