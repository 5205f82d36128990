import type { ResultLimits } from "./limits.ts";
import { StatementError } from "./statement-error.ts";
import type { SqlValue } from "./types.ts";
import { valueBytes } from "./value-size.ts";

/** What the results of one request may still take. Beyond it: `StatementError` `result-too-large`. */
export class ResultBudget {
  readonly #limits: ResultLimits;
  #rows = 0;
  #bytes = 0;

  constructor(limits: ResultLimits) {
    this.#limits = limits;
  }

  get isExceeded(): boolean {
    return this.#rows > this.#limits.rows || this.#bytes > this.#limits.bytes;
  }

  spendRow(): void {
    this.#rows += 1;
    if (this.#rows > this.#limits.rows) refuse(`${this.#limits.rows} rows`);
  }

  spendValue(value: SqlValue): void {
    this.#bytes += valueBytes(value);
    if (this.#bytes > this.#limits.bytes) refuse(`${this.#limits.bytes} bytes`);
  }
}

function refuse(limit: string): never {
  throw new StatementError(
    "result-too-large",
    `The result is larger than ${limit}. Ask for less, for example with LIMIT.`,
  );
}
