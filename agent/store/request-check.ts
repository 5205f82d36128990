import { TrivetError } from "../platform/trivet-error.ts";
import { REQUEST_BYTES_MAX, STATEMENTS_MAX, TOKENS_MAX } from "./limits.ts";
import { PASSES_MAX } from "./sql-bounds.ts";
import { checkStatement, type SqlCheck, TOO_MANY_TOKENS } from "./sql-check.ts";
import type { SqlStatement } from "./types.ts";
import { parameterBytes, requestBytes } from "./value-size.ts";
import type { Write } from "./write-bound.ts";

/**
 * What the check of each statement says. Throws `too-large` if the request breaks a bound. It is the main thread's largest piece of work
 * for a long text: done once for each node that a request comes to, and passed on from there.
 */
export function checkRequest(statements: readonly SqlStatement[]): readonly SqlCheck[] {
  if (statements.length > STATEMENTS_MAX) {
    throw tooLarge(
      `A request may have ${STATEMENTS_MAX} statements; this one has ${statements.length}. Send several requests.`,
    );
  }
  const bytes = requestBytes(statements);
  if (bytes > REQUEST_BYTES_MAX) {
    throw tooLarge(
      `SQL and parameters of a request may take ${REQUEST_BYTES_MAX} bytes; these take ${bytes}. Send several requests.`,
    );
  }
  let tokens = 0;
  return statements.map(({ sql }) => {
    const check = checkStatement(sql);
    tokens += check.tokenCount;
    if (tokens > TOKENS_MAX) throw tooLarge(TOO_MANY_TOKENS);
    return check;
  });
}

function tooLarge(message: string): TrivetError {
  return new TrivetError("too-large", message);
}

/** What an entry with some statements may do. */
export interface EntryTraits {
  /** False if their work together is not plainly bounded: then `Store.rehearse` should try them before they are proposed. */
  readonly isBounded: boolean;
  /** True if rows may leave a table, or their keys may change. */
  readonly mayRemove: boolean;
  /** True if one may bring what makes others do more than their text shows: see `Store.hiddenWork`. */
  readonly mayChangeSchema: boolean;
  /** Of each statement that is carried out: see `mayWriteMuch`. */
  readonly writes: readonly Write[];
}

/** Of an entry without statements. */
export const NO_TRAITS: EntryTraits = {
  isBounded: true,
  mayRemove: false,
  mayChangeSchema: false,
  writes: [],
};

/** `checks` are those of `statements`, which are all that it has. */
export function traitsOf(checks: readonly SqlCheck[], statements: readonly SqlStatement[]): EntryTraits {
  const passes = checks.reduce((sum, check) => sum + (check.ok ? check.passes : Number.POSITIVE_INFINITY), 0);
  return {
    isBounded: passes <= PASSES_MAX && !writesBehindChange(checks),
    mayRemove: checks.some((check) => check.ok && check.mayRemove),
    mayChangeSchema: checks.some((check) => check.ok && check.mayChangeSchema),
    writes: statements.flatMap(({ parameters }, nth) => {
      const check = checks[nth];
      return check?.ok ? [{ shape: check.writes, parameterBytes: parameterBytes(parameters) }] : [];
    }),
  };
}

/** Then nobody can know before what they bring about besides their text. */
function writesBehindChange(checks: readonly SqlCheck[]): boolean {
  const change = checks.findIndex((check) => check.ok && check.mayChangeSchema);
  if (change < 0) return false;
  return checks.slice(change).some((check) => check.ok && !check.isReadOnly && !check.mayChangeSchema);
}
