import type { History, Operation } from "./history.ts";

/** An operation that has been asked for. One that is never told about its end stays open: it may take effect at any time, or never. */
export interface OpenOperation<Output> {
  answered(output: Output): void;
  /** It was certainly not carried out and never will be: the history forgets it. */
  refused(): void;
}

/** Writes down what clients ask and what they get. `now` must never go back; a counter will do where one thread sees everything. */
export class HistoryRecorder<Input, Output> {
  readonly #now: () => number;
  readonly #operations = new Map<number, Operation<Input, Output>>();
  #nextId = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get history(): History<Input, Output> {
    return [...this.#operations.values()];
  }

  /** Must be called before the request can reach anybody. */
  call(client: string, input: Input): OpenOperation<Output> {
    const id = this.#nextId++;
    const operation = { client, input, called: this.#now(), answer: null };
    this.#operations.set(id, operation);
    return {
      answered: (output) =>
        void this.#operations.set(id, { ...operation, answer: { time: this.#now(), output } }),
      refused: () => void this.#operations.delete(id),
    };
  }
}
