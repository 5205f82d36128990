import type { CommandResult, SqlStatement } from "../store/types.ts";

/** As rqlite means them; see the README for what each costs. */
export const READ_LEVELS = ["none", "weak", "linearizable", "strong"] as const;
export type ReadLevel = (typeof READ_LEVELS)[number];

export interface SqlOptions {
  /** From now; at most the configured maximum. */
  readonly timeoutMs: number;
}

/** SQL against the whole cluster, from any node. */
export interface SqlService {
  /**
   * Replicates and applies. Per-statement errors (syntax, constraint, refused) are results. Rejects with a
   * `TrivetError`. Nothing was done: `no-leader`, `overloaded`, `too-large`, `too-expensive`, `store-busy`,
   * `query-failed`, `stopping`. Unknown whether it was:
   * `outcome-unknown` (the leader was lost between proposal and answer), `timeout`.
   */
  execute(
    statements: readonly SqlStatement[],
    options: SqlOptions & { readonly transaction: boolean },
  ): Promise<CommandResult>;
  /**
   * Rejects with `no-leader`, `timeout`, `stopping`, `overloaded`, or what `Store.query` does: `query-timeout`,
   * `query-failed`, `result-too-large`, `too-large`, `store-busy`, `store-closed`. In no case was anything changed.
   */
  query(
    statements: readonly SqlStatement[],
    options: SqlOptions & { readonly level: ReadLevel },
  ): Promise<CommandResult>;
}
