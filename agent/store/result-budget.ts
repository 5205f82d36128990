import { RESULT_BYTES_MAX, RESULT_ROWS_MAX } from "./limits.ts";
import { StatementError } from "./statement-error.ts";
import type { SqlValue } from "./types.ts";
import { valueBytes } from "./value-size.ts";

/** Code of the `StatementError` that a result beyond its bounds throws. */
export const RESULT_TOO_LARGE = "result-too-large";

/** What the results of one request may still take. */
export class ResultBudget {
  #rows = 0;
  #bytes = 0;

  get isExceeded(): boolean {
    return this.#rows > RESULT_ROWS_MAX || this.#bytes > RESULT_BYTES_MAX;
  }

  spendRow(): void {
    this.#rows += 1;
    if (this.#rows > RESULT_ROWS_MAX) refuse(`${RESULT_ROWS_MAX} rows`);
  }

  spendValue(value: SqlValue): void {
    this.#bytes += valueBytes(value);
    if (this.#bytes > RESULT_BYTES_MAX) refuse(`${RESULT_BYTES_MAX} bytes`);
  }
}

function refuse(limit: string): never {
  throw new StatementError(
    RESULT_TOO_LARGE,
    `The result is larger than ${limit}. Ask for less, with LIMIT for one.`,
  );
}
