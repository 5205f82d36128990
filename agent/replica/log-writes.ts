import { Backoff } from "../bus/backoff.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import type { LogWrite } from "../raft/outbox.ts";
import type { Entry, HardState } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";
import type { ReplicaLog } from "./ports.ts";

/** Waits between tries while the log has no room. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;

export interface LogWritesOptions {
  readonly log: ReplicaLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Writes up to `sequence` are durable. */
  readonly onPersisted: (sequence: number) => void;
  /** The terms and votes of writes up to `sequence` are, while their entries wait for room. */
  readonly onHardStatePersisted: (sequence: number) => void;
  /** The commit index that the log holds at the start: it never falls. */
  readonly commit: number;
  /** The log stands on the snapshot of this position, durably. */
  readonly onRestored: (position: LogPosition) => void;
  /** The disk failed: nothing may be written any more. */
  readonly onFailed: (error: unknown) => void;
}

/** One write, or several that have waited together. */
interface Pending {
  sequence: number;
  readonly restored: LogPosition | null;
  hardState: HardState;
  entries: readonly Entry[];
  state: "waiting" | "out" | "durable";
}

/**
 * Takes consensus' writes to the durable log, in their order.
 *
 * A log without room (`log-full`, `log-busy`) is no failure: the write that found none and all behind it are tried again, oldest first,
 * until there is some. Meanwhile further writes are joined to the last that waits, so that elections on a full disk gather nothing;
 * and its term and vote go ahead of all entries: the log keeps room for them, and the vote may be the one that a leader needs.
 */
export class LogWrites {
  readonly #options: LogWritesOptions;
  readonly #backoff: Backoff;
  /** Oldest first; what is durable leaves at the front only. */
  readonly #queue: Pending[] = [];
  #isBlocked = false;
  /** Said once, until something was written again. */
  #hasTold = false;
  #retry: Timer | null = null;
  #isStopped = false;
  /** Up to here the log was told to forget. Whatever stands there is committed. */
  #baseIndex = 0;
  /** What went ahead of the entries: what comes behind it must not take it back. */
  #ahead: HardState | null = null;
  #isGoingAhead = false;
  /** What the log holds durably as committed: it may say no more of it, and no less. */
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

  write({ sequence, restored, hardState, entries }: LogWrite): void {
    const pending: Pending = { sequence, restored, hardState, entries, state: "waiting" };
    const last = this.#queue.at(-1);
    if (this.#isBlocked && last?.state === "waiting" && restored === null) {
      join(last, pending);
      this.#goAhead();
      return;
    }
    this.#queue.push(pending);
    if (!this.#isBlocked) this.#submit(pending);
  }

  /**
   * Forgets the entries up to `base`, which are committed and in the log. Goes before all that waits for room: it makes some.
   * Rejects as the log does.
   */
  compact(base: LogPosition): Promise<void> {
    this.#baseIndex = Math.max(this.#baseIndex, base.index);
    this.#commit = Math.max(this.#commit, base.index);
    return this.#options.log.compact(base);
  }

  stop(): void {
    this.#isStopped = true;
    this.#retry?.cancel();
  }

  #submit(pending: Pending): void {
    const { log } = this.#options;
    pending.state = "out";
    const { restored, hardState, entries } = pending;
    if (restored !== null) this.#baseIndex = Math.max(this.#baseIndex, restored.index);
    // A write that has waited may be older than a base, which is committed: the log's commit index never falls.
    const commit = Math.max(hardState.commit, this.#baseIndex);
    const { term, vote } = this.#newest(hardState);
    log.append({ base: restored, hardState: { term, vote, commit }, entries }).then(
      () => this.#durable(pending),
      (error: unknown) => this.#failed(pending, error),
    );
  }

  #durable(pending: Pending): void {
    if (this.#isStopped) return;
    pending.state = "durable";
    this.#commit = Math.max(this.#commit, pending.hardState.commit);
    this.#hasTold = false;
    this.#backoff.reset();
    let sequence: number | null = null;
    for (let first = this.#queue[0]; first?.state === "durable"; first = this.#queue[0]) {
      sequence = first.sequence;
      if (first.restored !== null) this.#options.onRestored(first.restored);
      this.#queue.shift();
    }
    if (sequence !== null) this.#options.onPersisted(sequence);
    if (this.#isBlocked) this.#maybeRetry();
  }

  #failed(pending: Pending, error: unknown): void {
    if (this.#isStopped) return;
    if (!isTrivetError(error, "log-full") && !isTrivetError(error, "log-busy")) {
      this.stop();
      this.#options.onFailed(error);
      return;
    }
    pending.state = "waiting";
    if (!this.#hasTold) {
      // mark: replica: the log has no room
      this.#hasTold = true;
      this.#options.logger.log("warn", "The log has no room: writes wait for it.", { reason: error.message });
    }
    this.#isBlocked = true;
    this.#maybeRetry();
    this.#goAhead();
  }

  /** Of the last write that waits, once nothing is out. Tried again with each further write, and with the entries. */
  #goAhead(): void {
    const last = this.#queue.at(-1);
    if (last === undefined || this.#isGoingAhead || this.#queue.some(({ state }) => state === "out")) return;
    const { sequence, hardState } = last;
    if (hardState.term === this.#ahead?.term && hardState.vote === this.#ahead.vote) return;
    this.#isGoingAhead = true;
    // Not that of the entries, nor of a snapshot, which wait themselves.
    const state = { ...hardState, commit: this.#commit };
    this.#options.log.append({ hardState: state, entries: [] }).then(
      () => {
        this.#isGoingAhead = false;
        if (this.#isStopped) return;
        // mark: replica: a term or a vote goes ahead of entries that wait for room
        this.#ahead = state;
        this.#options.onHardStatePersisted(sequence);
        this.#goAhead();
      },
      (error: unknown) => {
        this.#isGoingAhead = false;
        const isFull = isTrivetError(error, "log-full") || isTrivetError(error, "log-busy");
        if (isFull || this.#isStopped) return;
        this.stop();
        this.#options.onFailed(error);
      },
    );
  }

  /** Of what is to be written, and what is already. Terms only grow, and there is one vote in each (Raft 5.2). */
  #newest(hardState: HardState): HardState {
    const ahead = this.#ahead;
    if (ahead === null || hardState.term > ahead.term) return hardState;
    return hardState.term === ahead.term && ahead.vote === null ? hardState : ahead;
  }

  /** Once everything that was out has come back. */
  #maybeRetry(): void {
    if (this.#retry !== null || this.#queue.some(({ state }) => state === "out")) return;
    this.#retry = this.#options.clock.setTimer(this.#backoff.nextMs(), () => {
      this.#retry = null;
      this.#isBlocked = false;
      // mark: replica: writes that found no room are tried again
      for (const pending of [...this.#queue]) {
        invariant(pending.state === "waiting", "a write became durable before one that it follows");
        this.#submit(pending);
      }
    });
  }
}

/** Both at once: `next` replaces from its first entry on, and its hard state is the newer one. */
function join(last: Pending, next: Pending): void {
  const [first] = next.entries;
  const kept = first === undefined ? last.entries : last.entries.filter(({ index }) => index < first.index);
  last.entries = [...kept, ...next.entries];
  last.hardState = next.hardState;
  last.sequence = next.sequence;
}
