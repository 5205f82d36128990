import { Backoff } from "../bus/backoff.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, type TrivetError } from "../platform/trivet-error.ts";
import type { LogWrite } from "../raft/outbox.ts";
import type { HardState } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";
import type { ReplicaLog } from "./ports.ts";
import { type PendingWrite, WriteQueue } from "./write-queue.ts";

/** Waits between tries while the log has no room. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;

export interface LogWritesOptions {
  readonly log: ReplicaLog;
  /** Why the log is to take no entries now, as a sentence, though it might; null if it may. Terms, votes and bases go in all the same. */
  readonly entryRefusal: () => string | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Writes up to `sequence` are durable. */
  readonly onPersisted: (sequence: number) => void;
  /** The terms and votes of writes up to `sequence` are, while their entries wait for room. */
  readonly onHardStatePersisted: (sequence: number) => void;
  /** At the start, what the log and the databases know to be committed: it never falls. */
  readonly commit: number;
  /** The log stands on the snapshot of this position, durably. */
  readonly onRestored: (position: LogPosition) => void;
  /** The disk failed: nothing may be written any more. */
  readonly onFailed: (error: unknown) => void;
}

export interface EntryWait {
  readonly ms: number;
  readonly reason: string;
}

/**
 * Takes consensus' writes to the durable log, in their order.
 *
 * A log without room (`log-full`, `log-busy`, `entryRefusal`) is no failure: the write that found none and all behind it are tried
 * again, oldest first, until there is some:
 *
 *     durable | waiting  waiting  waiting + what comes meanwhile
 *               `-- a base, be it of a snapshot, and the newest term and vote go ahead of all that waits: they need no room, and
 *                   the one makes some, while the other may be the vote that a leader needs
 *
 * So elections on a full disk gather nothing.
 */
export class LogWrites {
  readonly #options: LogWritesOptions;
  readonly #backoff: Backoff;
  readonly #queue = new WriteQueue();
  /** What comes now waits with the others. */
  #isBlocked = false;
  /** Since when and why there is no room; null once something was written again. */
  #want: { readonly sinceMs: number; readonly reason: string } | null = null;
  /** Until the next try has been made. */
  #retry: Timer | null = null;
  #isStopped = false;
  /** Up to here everything is committed and forgotten, or about to be. */
  #baseIndex = 0;
  /** To be forgotten; the log has refused it together with entries. */
  #waitingBase: LogPosition | null = null;
  /** What went ahead of the entries: what comes behind it must not take it back. */
  #ahead: HardState | null = null;
  #goingAhead: Promise<boolean> | null = null;
  /** What the log holds durably as committed: what goes ahead may say no more of it, and no less. */
  #commit: number;

  constructor(options: LogWritesOptions) {
    this.#options = options;
    this.#commit = options.commit;
    this.#backoff = new Backoff(RETRY_MIN_MS, RETRY_MAX_MS, options.random);
  }

  /** True while the disk has no room for the log. */
  get isFull(): boolean {
    return this.#isBlocked;
  }

  /** For how long entries have waited for room by now, and why; null if none do. */
  get wait(): EntryWait | null {
    if (this.#want === null) return null;
    const { sinceMs, reason } = this.#want;
    return { ms: this.#options.clock.nowMs() - sinceMs, reason };
  }

  write(write: LogWrite): void {
    if (!this.#isBlocked) {
      this.#submit(this.#queue.add(write));
      return;
    }
    this.#queue.addWaiting(write);
    this.#wait();
  }

  /**
   * Forgets the entries up to `base`, which are committed and in the log. Goes before all that waits for room: it makes some.
   * Resolves once it is durable, or has found no room itself: then it is tried again until it has. Rejects if the log has failed.
   */
  async compact(base: LogPosition): Promise<void> {
    this.#baseIndex = Math.max(this.#baseIndex, base.index);
    this.#commit = Math.max(this.#commit, base.index);
    try {
      await this.#options.log.compact(base);
    } catch (error) {
      if (!isWantOfRoom(error)) throw error;
      // mark: replica: a base that found no room is tried again
      if (base.index > (this.#waitingBase?.index ?? 0)) this.#waitingBase = base;
      this.#noRoom(error.message);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#retry?.cancel();
  }

  #submit(pending: PendingWrite): void {
    const { log, entryRefusal } = this.#options;
    const { restored, hardState, entries } = pending;
    const refusal = entries.length === 0 ? null : entryRefusal();
    if (refusal !== null) {
      // mark: replica: entries wait for room
      this.#noRoom(refusal);
      return;
    }
    pending.state = "out";
    // A write that has waited may be older than a base, which is committed: the log's commit index never falls.
    const commit = Math.max(hardState.commit, this.#baseIndex, restored?.index ?? 0);
    const { term, vote } = this.#newest(hardState);
    log.append({ base: restored, hardState: { term, vote, commit }, entries }).then(
      () => this.#durable(pending),
      (error: unknown) => this.#failed(pending, error),
    );
  }

  #durable(pending: PendingWrite): void {
    if (this.#isStopped) return;
    pending.state = "durable";
    this.#commit = Math.max(this.#commit, pending.restored?.index ?? 0, pending.hardState.commit);
    this.#want = null;
    this.#backoff.reset();
    const durable = this.#queue.takeDurable();
    for (const { restored } of durable) if (restored !== null) this.#standsOn(restored);
    const sequence = durable.at(-1)?.sequence;
    if (sequence !== undefined) this.#options.onPersisted(sequence);
    if (this.#isBlocked) this.#wait();
  }

  #standsOn(snapshot: LogPosition): void {
    this.#baseIndex = Math.max(this.#baseIndex, snapshot.index);
    this.#commit = Math.max(this.#commit, snapshot.index);
    this.#options.onRestored(snapshot);
  }

  #failed(pending: PendingWrite, error: unknown): void {
    if (this.#isStopped) return;
    pending.state = "waiting";
    if (isWantOfRoom(error)) this.#noRoom(error.message);
    else this.#fail(error);
  }

  #fail(error: unknown): void {
    this.stop();
    this.#options.onFailed(error);
  }

  #noRoom(reason: string): void {
    this.#isBlocked = true;
    if (this.#want === null) {
      // mark: replica: the log has no room
      const { clock, logger } = this.#options;
      this.#want = { sinceMs: clock.nowMs(), reason };
      logger.log("warn", "The log has no room: writes wait for it.", { reason });
    }
    this.#wait();
  }

  /** Once everything that was out has come back: what needs no room goes ahead, and after a while all is tried again. */
  #wait(): void {
    if (this.#isStopped || this.#queue.isAnyOut) return;
    void this.#goAhead();
    this.#retry ??= this.#options.clock.setTimer(this.#backoff.nextMs(), () => void this.#tryAgain());
  }

  async #tryAgain(): Promise<void> {
    // A group of the log is refused as a whole: what needs no room must not be in one with what does.
    const hasGone = await this.#goAhead();
    this.#retry = null;
    if (this.#isStopped) return;
    if (!hasGone) {
      this.#wait();
      return;
    }
    // mark: replica: writes that found no room are tried again
    this.#isBlocked = false;
    if (this.#queue.isEmpty) this.#want = null;
    for (const pending of this.#queue.all) {
      if (this.#isBlocked) return;
      invariant(pending.state === "waiting", "a write became durable before one that it follows");
      this.#submit(pending);
    }
  }

  /** Never rejects. False: there was not even room for that, or it is too late. */
  #goAhead(): Promise<boolean> {
    this.#goingAhead ??= this.#writeAhead();
    return this.#goingAhead;
  }

  async #writeAhead(): Promise<boolean> {
    const { log, onHardStatePersisted } = this.#options;
    try {
      // Not within the call that brought the write: consensus hears of what is durable when it listens.
      await null;
      for (let step = this.#nextAhead(); step !== null; step = this.#nextAhead()) await step(log);
      const last = this.#queue.newest;
      if (last !== undefined && !this.#isStopped) onHardStatePersisted(last.sequence);
      return true;
    } catch (error) {
      if (!isWantOfRoom(error) && !this.#isStopped) this.#fail(error);
      return false;
    } finally {
      this.#goingAhead = null;
    }
  }

  /** Null once there is nothing left to be written ahead. */
  #nextAhead(): ((log: ReplicaLog) => Promise<void>) | null {
    if (this.#isStopped) return null;
    const base = this.#waitingBase;
    if (base !== null) {
      return async (log) => {
        await log.compact(base);
        if (this.#waitingBase === base) this.#waitingBase = null;
      };
    }
    const last = this.#queue.newest?.hardState;
    if (last === undefined) return null;
    const restoring = this.#queue.takeRestoring();
    const snapshot = restoring?.restored ?? null;
    const ahead = this.#ahead;
    if (snapshot === null && last.term === ahead?.term && last.vote === ahead.vote) return null;
    // Not what the entries make committed, which wait themselves.
    const hardState = { ...last, commit: Math.max(this.#commit, snapshot?.index ?? 0) };
    return async (log) => {
      await log.append({ base: snapshot, hardState, entries: [] });
      // mark: replica: a term or a vote goes ahead of entries that wait for room
      this.#ahead = hardState;
      if (restoring === undefined || snapshot === null || this.#isStopped) return;
      restoring.restored = null;
      this.#standsOn(snapshot);
    };
  }

  /** Of what is to be written, and what is already. Terms only grow, and there is one vote in each (Raft 5.2). */
  #newest(hardState: HardState): HardState {
    const ahead = this.#ahead;
    if (ahead === null || hardState.term > ahead.term) return hardState;
    return hardState.term === ahead.term && ahead.vote === null ? hardState : ahead;
  }
}

function isWantOfRoom(error: unknown): error is TrivetError {
  return isTrivetError(error, "log-full") || isTrivetError(error, "log-busy");
}
