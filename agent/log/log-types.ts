import type { Entry, HardState, LogPosition } from "../raft/types.ts";

/** Before the first entry. */
export const LOG_START: LogPosition = { index: 0, term: 0 };

/** What becomes durable together. */
export interface LogBatch {
  /**
   * Everything up to it is in the state machine, durably: before all else, it is forgotten. Where the log has no entry of its term at
   * its index, the state machine came as a snapshot (Raft figure 13, step 7): all entries are forgotten. A base that is not ahead of
   * the present one changes nothing.
   */
  readonly base?: LogPosition | null;
  readonly hardState?: HardState;
  /**
   * Without a gap among themselves and behind what is there. If the first one's index is not behind the last entry,
   * everything from it on is replaced (Raft 5.3: a conflict). May be empty.
   */
  readonly entries: readonly Entry[];
}

/** What is on the disk. */
export interface LogContent {
  /** Before the first kept entry: everything up to it is in the state machine. */
  readonly base: LogPosition;
  /** From `base.index + 1`, without a gap. */
  readonly entries: readonly Entry[];
  /** `commit` is a lower bound, never below `base.index`. */
  readonly hardState: HardState;
}

/** What a log goes on from. */
export interface RecoveredLog extends LogContent {
  /** Bytes of an incomplete last batch that were cut: the process died before they were acknowledged. */
  readonly tornBytes: number;
}
