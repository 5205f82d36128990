import type { ObjectStore } from "./objects.ts";
import type { QueryPlan } from "./query-plan.ts";
import type { SnapshotStore } from "./snapshot.ts";
import type {
  CommandResult,
  LogPosition,
  ResultDigest,
  SessionGuard,
  SqlStatement,
  StoredConfiguration,
  StoreEntry,
} from "./types.ts";
import type { DataTraits } from "./write-bound.ts";

export interface RehearsalOptions {
  /** As of the command; null if there is none. */
  readonly session?: SessionGuard | null;
  /** As of the command. */
  readonly transaction: boolean;
  /** From the call to the end, waiting behind other work included. */
  readonly timeoutMs: number;
  /** As of the command. */
  readonly timeMs: number;
  /** As of the command; some 16 bytes if there is none yet. */
  readonly seed?: Uint8Array;
  /** That it may write to the disk; by default `WRITTEN_BYTES_MAX`. */
  readonly bytesMax?: number;
  /** Aborted: other writes have waited for it for `APPLY_PATIENCE_MS`, or nobody waits for it any more. It ends. */
  readonly othersWait?: AbortSignal;
}

/** `answered`: its session has the answer to the command already, and will give it; nothing was tried out. */
export type Rehearsed = "tried-out" | "answered";

/**
 * What a write may run that its text does not show, so that the check of it says too little: nothing; something where rows leave a
 * table or their keys change, because a foreign key has no index that finds its children; or something whatever is written, because
 * there is a trigger, a full-text table over another table, or a costly expression.
 */
export type HiddenWork = "none" | "of-removals" | "of-any-write";

/**
 * The replicated state machine. Entries come in log order without a gap, each once. A rejected promise with
 * code `store-failed` means that the environment failed (disk, memory): nothing after it may be applied, the
 * agent must stop. So does `store-damaged`, and then the files are not sound databases any more.
 */
export interface Store extends ReplicatedState, ObjectStore, SnapshotStore {
  /** The last entry that has been applied. */
  readonly applied: LogPosition;
  /** The last entry that is in any of the files: after a crash one may be ahead of the other, until the log has brought both there. */
  readonly newest: LogPosition;
  /** As of the last entry that was answered. */
  readonly hiddenWork: HiddenWork;
  /** As of the last entry that was answered. */
  readonly data: DataTraits;
  /**
   * For how long nothing of what was asked for was done, milliseconds; 0 if nothing is to be done, and while what may take its time
   * runs: a query, or a rehearsal, until its deadline.
   */
  readonly silentMs: number;
  /** What is not what was written, and served all the same until another copy has taken its place; null if nothing is known to be. */
  readonly toleratedDamage: string | null;
  /**
   * Applies in order; resolves with one result per entry: empty where `command` is null, and where the file has the
   * entry already (after a crash). A transaction that failed ends with its first error, the statements after it
   * have no result. Rejects with `store-busy` if too much waits.
   */
  apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]>;
  /**
   * Asks everything applied so far. Rejects with `query-timeout` after `timeoutMs`, with `result-too-large` beyond the row or byte limit,
   * with `store-busy` if too many queries wait, with `query-failed` if this node cannot carry it out (memory).
   */
  query(plan: QueryPlan, options: { readonly timeoutMs: number }): Promise<CommandResult>;
  /**
   * Tries a command out on everything applied so far: runs it as `apply` would, with its time and chance, and undoes
   * it. Resolves whatever its results are. An entry in the log is applied by every node and cannot be stopped, so a
   * command whose work is not bounded should have been rehearsed before it is proposed, and no entry should come between.
   * `checkStatement` must have found that each may become part of the log.
   *
   * Rejects with `too-expensive` if it does not end within `timeoutMs` or `othersWait`, or writes more than `bytesMax`; with `query-failed` if it takes more memory
   * than a query may have, with `store-busy` if it could not begin in time or too many queries wait.
   */
  rehearse(statements: readonly SqlStatement[], options: RehearsalOptions): Promise<Rehearsed>;
  /**
   * Commits what is applied and makes it durable in both files; resolves with the durable position. While a snapshot is
   * open the files wait, and that position is the snapshot's.
   */
  checkpoint(): Promise<LogPosition>;
  /**
   * After all that waits: commits, closes the files. What is not done within `CLOSE_TIMEOUT_MS` is ended and rejected
   * with `store-closed`; the log has its entries. Idempotent. Everything else is then rejected with `store-closed`.
   */
  close(): Promise<void>;
}

/** A part of `Store`: what it keeps besides the user's data. */
export interface ReplicatedState {
  /** Time of the newest command that was applied, 0 if none was: the next one's may not be before it. */
  readonly lastTimeMs: number;
  /** Of the last entry that had one; null if none had. */
  readonly configuration: StoredConfiguration | null;
  /**
   * As of `applied`. After a crash between the commits of the two files it is that of index 0, which says nothing, until
   * both are level again.
   */
  readonly digest: ResultDigest;
}
