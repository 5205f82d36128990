import { TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "../store/types.ts";
import { committedPosition } from "./committed-position.ts";
import type { Consensus } from "./consensus.ts";
import type { CopyKeeper } from "./copy-keeper.ts";
import { notLeader, overloaded, stopping } from "./sql-errors.ts";
import type { Waiters } from "./waiters.ts";

/** Reads that wait for their index at once. */
const WAITING_MAX = 4096;

export interface IndexReadsOptions {
  readonly consensus: Pick<Consensus, "raft" | "read" | "learnCommitted">;
  readonly copy: Pick<CopyKeeper, "fault" | "assertServing">;
  readonly appliedIndex: () => number;
  readonly waiters: Waiters;
}

/** The positions that reads wait for: found out by the leader (Raft thesis 6.4), waited for where the read is. */
export class IndexReads {
  readonly #options: IndexReadsOptions;
  readonly #waiting = new Map<number, { resolve(index: number): void; reject(error: TrivetError): void }>();
  #lastId = 0;

  constructor(options: IndexReadsOptions) {
    this.#options = options;
  }

  /**
   * The position that a linearizable read must wait for, if this member leads. Rejects with `not-leader`, `overloaded` or
   * `stopping`; in each case nothing was done.
   */
  async readIndex(): Promise<LogPosition> {
    const { consensus, copy, waiters } = this.#options;
    waiters.throwIfFailed();
    if (this.#waiting.size >= WAITING_MAX) throw overloaded();
    const id = ++this.#lastId;
    if (copy.fault !== null || !consensus.read(id)) throw notLeader();
    const index = await new Promise<number>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    return committedPosition(consensus.raft, index);
  }

  /** What this member knows to be committed, without asking anyone. */
  get committed(): LogPosition {
    const { raft } = this.#options.consensus;
    return committedPosition(raft, raft.commitIndex);
  }

  /**
   * Resolves once the store has applied a position that the leader named, and so vouched to be committed. Rejects with
   * `timeout`, `not-serving` or `stopping`.
   */
  async waitApplied(position: LogPosition, timeoutMs: number): Promise<void> {
    const { consensus, copy, appliedIndex, waiters } = this.#options;
    waiters.throwIfFailed();
    copy.assertServing();
    const { index } = position;
    // Or else this member would wait for the next message of the leader to tell it so.
    if (consensus.raft.commitIndex < index) consensus.learnCommitted(position);
    await waiters.until(
      () => appliedIndex() >= index,
      timeoutMs,
      () =>
        new TrivetError(
          "timeout",
          `This node has applied entry ${appliedIndex()} and did not reach ${index} in time: it is catching up. Try again, or ask another node.`,
        ),
    );
  }

  /** Consensus has found the index of a read; null: this member does not lead any more. */
  answered(id: number, index: number | null): void {
    const read = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (index === null) read?.reject(notLeader());
    else read?.resolve(index);
  }

  stop(): void {
    for (const read of this.#waiting.values()) read.reject(stopping());
    this.#waiting.clear();
  }
}
