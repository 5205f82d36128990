import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Entry } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";
import { LogAllowance } from "./log-allowance.ts";

/**
 * How much more than wanted the log may hold: for a snapshot that is being sent, since who gets it needs what comes behind it; for who
 * comes up by the log; and while the own copy is out of use, or slower than the others'.
 */
const HELD_FACTOR = 4;

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
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFailed: (error: unknown) => void;
}

/**
 * Keeps the log within its bytes: once it is above, half of it is dropped, so that this is rare. Only what is durable in the
 * database goes, and while a snapshot is being sent nothing that its receiver will need behind it, within a bound.
 */
export class LogRetention {
  readonly #options: LogRetentionOptions;
  /** See `HELD_FACTOR`. */
  readonly #boundBytes: number;
  readonly #allowance: LogAllowance;
  #isRunning = false;
  #isStopped = false;
  #thresholdBytes: number;
  /** Once this is applied, a run is worth it again, though the log has not grown. Null: only growth makes it so. */
  #retryIndex: number | null = null;

  constructor(options: LogRetentionOptions) {
    this.#options = options;
    this.#thresholdBytes = options.retainBytes;
    this.#boundBytes = HELD_FACTOR * options.retainBytes;
    this.#allowance = new LogAllowance({ boundBytes: this.#boundBytes, clock: options.clock });
  }

  /** To be called when the log may have grown or more may have been applied. Starts at most one run at a time. */
  maybeRun(): void {
    this.#followSending();
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
    return this.#options.log().logBytes > this.#boundBytes;
  }

  /** True while a snapshot is being sent and the log has grown faster than that goes on. Then writes are to wait: see `LogAllowance`. */
  get isOutrun(): boolean {
    this.#followSending();
    return this.#options.log().logBytes > this.#allowance.bytes;
  }

  stop(): void {
    this.#isStopped = true;
  }

  #followSending(): void {
    const { log, sentFraction } = this.#options;
    this.#allowance.follow(log().logBytes, sentFraction());
  }

  #isWorthIt(): boolean {
    const { retainBytes, log, appliedIndex, heldPosition } = this.#options;
    if (log().logBytes > this.#thresholdBytes) return true;
    // Whoever reads it, writes must not wait for long because of what they cannot have any more.
    if (this.isFull && heldPosition() !== null) return true;
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
    const isHeld = now.logBytes <= this.#boundBytes;
    const needed = isHeld ? this.#options.neededFrom() : Number.POSITIVE_INFINITY;
    const base = chooseBase(now, retainBytes / 2, Math.min(durable.index, now.applicableIndex, needed));
    if (base === null) return;
    this.#thresholdBytes = retainBytes;
    await compact(base);
  }

  /** How far the database is durable; while a snapshot is open, as far as that goes. */
  async #durable(): Promise<LogPosition> {
    const { log, heldPosition, endSnapshot, checkpoint, logger } = this.#options;
    const held = heldPosition();
    if (held !== null) {
      const { logBytes } = log();
      if (logBytes <= this.#boundBytes) return held;
      // mark: replica: a snapshot was ended, the log behind it grew too large
      const message = "A snapshot for others is ended, since the log behind it has grown too large.";
      logger.log("warn", message, { index: held.index, logBytes });
      await endSnapshot();
    }
    return checkpoint();
  }
}
