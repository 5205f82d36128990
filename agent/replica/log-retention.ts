import type { Entry } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";

/**
 * How much more than wanted the log may hold: for a snapshot that is being sent, since who gets it needs what comes behind it; and
 * while the own copy is out of use.
 */
const HELD_FACTOR = 4;

/** From this part of that on, writes are slowed while a snapshot is being sent. */
const SLOWS_FROM = 0.5;
/** What the log may take of the rest by the end of the sending; what is left is for the time in which the receiver installs it. */
const SENT_SHARE = 0.8;

/** After a run that freed nothing, the log grows by this part of what is retained before the next one. */
const RETRY_FRACTION = 8;

interface RetainedLog {
  readonly firstIndex: number;
  /** Weight of the retained entries. */
  readonly logBytes: number;
  readonly lastIndex: number;
  /** Committed and durable here. */
  readonly applicableIndex: number;
  /** Entries `from` to `to`, as many as fit, at least one if there is one. */
  entries(from: number, to: number, bytesMax: number): readonly Entry[];
}

/**
 * Where the log may begin so that about `keepBytes` stay, dropping nothing behind `upTo`. Null: nothing is to be dropped.
 */
export function chooseBase(log: RetainedLog, keepBytes: number, upTo: number): LogPosition | null {
  const surplusBytes = log.logBytes - keepBytes;
  if (surplusBytes <= 0 || upTo < log.firstIndex) return null;
  const last = log.entries(log.firstIndex, upTo, surplusBytes).at(-1);
  return last === undefined ? null : { index: last.index, term: last.term };
}

export interface LogRetentionOptions {
  readonly retainBytes: number;
  readonly log: () => RetainedLog;
  readonly appliedIndex: () => number;
  /** False while the log is all that knows something, because the database does not hold it or cannot be trusted. */
  readonly mayDrop: () => boolean;
  /** Makes what is applied durable; resolves with how far that goes. */
  readonly checkpoint: () => Promise<LogPosition>;
  /** Of a snapshot that is or was just sent, if there is one: it was durable when it was opened, and checkpoints wait for its end. */
  readonly heldPosition: () => LogPosition | null;
  /** How much of it is sent, from 0 to 1; null if nobody takes it. */
  readonly sentFraction: () => number | null;
  /** Behind this, others need the log to come up by it; infinity if nobody does. */
  readonly neededFrom: () => number;
  /** Ends it: checkpoints go on. */
  readonly endSnapshot: () => Promise<void>;
  /** Forgets the entries up to `base`, in memory, and on disk once there is room to say so. */
  readonly compact: (base: LogPosition) => Promise<void>;
  readonly onFailed: (error: unknown) => void;
}

/**
 * Keeps the log within its bytes: once it is above, half of it is dropped, so that this is rare. Only what is durable in the
 * database goes, and while a snapshot is being sent nothing that its receiver will need behind it, within a bound.
 */
export class LogRetention {
  readonly #options: LogRetentionOptions;
  #isRunning = false;
  #isStopped = false;
  #thresholdBytes: number;
  /** Once this is applied, a run is worth it again, though the log has not grown. Null: only growth makes it so. */
  #retryIndex: number | null = null;

  constructor(options: LogRetentionOptions) {
    this.#options = options;
    this.#thresholdBytes = options.retainBytes;
  }

  /** To be called when the log may have grown or more may have been applied. Starts at most one run at a time. */
  maybeRun(): void {
    if (this.#isRunning || this.#isStopped || !this.#options.mayDrop() || !this.#isWorthIt()) return;
    this.#isRunning = true;
    this.#run()
      .catch((error: unknown) => {
        // Closing: nothing is to be done any more.
        if (!this.#isStopped) this.#options.onFailed(error);
      })
      .finally(() => {
        this.#isRunning = false;
      });
  }

  /**
   * True once the log is as large as it may become while nothing can be dropped, because the copy is out of use or has not taken up
   * what is committed. Then it takes no more entries: to drop what no copy here holds would leave it on fewer members than have vouched
   * for it. So this member is counted for what it holds only, and what its copy takes up, or a fresh copy, makes room.
   */
  get isFull(): boolean {
    const { log, retainBytes } = this.#options;
    return log().logBytes > HELD_FACTOR * retainBytes;
  }

  /**
   * True while a snapshot is being sent and the log behind it has grown faster than that goes on: to the bound it must last until the
   * end, or the snapshot would be of no use. Then writes are to wait.
   */
  get isOutrun(): boolean {
    const { log, retainBytes, sentFraction } = this.#options;
    const fraction = sentFraction();
    if (fraction === null) return false;
    const allowed = HELD_FACTOR * retainBytes;
    return log().logBytes > allowed * (SLOWS_FROM + (1 - SLOWS_FROM) * fraction * SENT_SHARE);
  }

  stop(): void {
    this.#isStopped = true;
  }

  #isWorthIt(): boolean {
    const { retainBytes, log, appliedIndex } = this.#options;
    if (log().logBytes > this.#thresholdBytes) return true;
    return this.#retryIndex !== null && appliedIndex() >= this.#retryIndex && log().logBytes > retainBytes;
  }

  async #run(): Promise<void> {
    const { retainBytes, log, appliedIndex, compact } = this.#options;
    // Until this run has freed something, another one is worth it only when there is more to free.
    const { logBytes, lastIndex } = log();
    this.#thresholdBytes = logBytes + retainBytes / RETRY_FRACTION;
    this.#retryIndex = appliedIndex() < lastIndex ? lastIndex : null;
    const durable = await this.#durable();
    // The copy may have been put out of use meanwhile.
    if (this.#isStopped || !this.#options.mayDrop()) return;
    const now = log();
    const isHeld = now.logBytes <= HELD_FACTOR * retainBytes;
    const needed = isHeld ? this.#options.neededFrom() : Number.POSITIVE_INFINITY;
    const base = chooseBase(now, retainBytes / 2, Math.min(durable.index, now.applicableIndex, needed));
    if (base === null) return;
    this.#thresholdBytes = retainBytes;
    await compact(base);
  }

  /** How far the database is durable; while a snapshot is open, as far as that goes. */
  async #durable(): Promise<LogPosition> {
    const { retainBytes, log, heldPosition, endSnapshot, checkpoint } = this.#options;
    const held = heldPosition();
    if (held !== null) {
      if (log().logBytes <= HELD_FACTOR * retainBytes) return held;
      // mark: replica: a snapshot was ended, the log behind it grew too large
      await endSnapshot();
    }
    return checkpoint();
  }
}
