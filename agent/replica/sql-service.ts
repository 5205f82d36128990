import type { CommandResult, SessionGuard, SqlStatement } from "../store/types.ts";
import type { ReadLevel } from "./read-level.ts";

export interface SqlOptions {
  /** From now; at most the configured maximum. */
  readonly timeoutMs: number;
}

export interface ExecuteOptions extends SqlOptions {
  readonly transaction: boolean;
  /** Makes the write apply once, however often it is sent. */
  readonly session?: SessionGuard | null;
}

export interface QueryOptions extends SqlOptions {
  readonly level: ReadLevel;
}

/** SQL against the whole cluster, from any node. */
export interface SqlService {
  /**
   * Replicates and applies. Per-statement errors (syntax, constraint, refused) are results. Rejects with a
   * `TrivetError`. Nothing was done: `no-leader`, `overloaded`, `too-large`, `too-expensive`, `store-busy`,
   * `query-failed`, `stopping`, `disk-full`, `store-stuck`. Unknown whether it was:
   * `outcome-unknown` (the leader was lost between proposal and answer), `timeout`.
   *
   * With a session, lost answers are asked for again until the deadline; after `outcome-unknown` or `timeout` the caller
   * sends the same statements with the same session and sequence, through any node. Then there are also
   * `session-expired`, `session-stale` (this call did nothing; what an earlier one did is not known) and `answer-too-large` (done
   * earlier, the answer is not kept).
   */
  execute(statements: readonly SqlStatement[], options: ExecuteOptions): Promise<CommandResult>;
  /**
   * Rejects with `no-leader`, `timeout`, `stopping`, `overloaded`, or what `Store.query` does: `query-timeout`,
   * `query-failed`, `result-too-large`, `too-large`, `store-busy`, `store-closed`. In no case was anything changed.
   */
  query(statements: readonly SqlStatement[], options: QueryOptions): Promise<CommandResult>;
  /** Resolves with the id of a new session, known to all nodes; rejects as `query` of level `strong` does. */
  openSession(options: SqlOptions): Promise<number>;
}
