import { checkRequest } from "./request-check.ts";
import type { SqlCheck } from "./sql-check.ts";
import { errorResult } from "./statement-error.ts";
import type { CommandResult, SqlStatement, StatementResult } from "./types.ts";

/** A query request: what SQLite is asked, and the answers that are certain before. */
export interface QueryPlan {
  readonly asked: readonly SqlStatement[];
  /** The answers to all statements, from those of SQLite to `asked`. */
  complete(answers: CommandResult): CommandResult;
}

/**
 * Sorts out the statements that a query may not have. That is decided by their text, because SQLite's own
 * `query_only` would have every statement compiled again each time it is switched. Throws `too-large`. As much work for the
 * main thread as the check of a write.
 */
export function planQuery(statements: readonly SqlStatement[]): QueryPlan {
  const refusals = checkRequest(statements).map(refusalOf);
  return {
    asked: statements.filter((_, at) => refusals[at] === null),
    complete(answers) {
      const next = answers[Symbol.iterator]();
      return refusals.flatMap((refusal) => refusal ?? next.next().value ?? []);
    },
  };
}

function refusalOf(check: SqlCheck): StatementResult | null {
  if (!check.ok) return errorResult(check.code, check.message);
  if (check.isReadOnly) return null;
  return errorResult("read-only", "The statement is not a plain SELECT: it may write. Send it to execute.");
}
