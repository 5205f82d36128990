import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { TrivetError } from "../platform/trivet-error.ts";
import { ROOM_RETRY_MS, WORKER_RESTARTS_MAX, WORKER_RESTARTS_WINDOW_MS } from "./limits.ts";
import { RestartBudget } from "./restart-budget.ts";
import { type StoreFailure, storeFailed } from "./store-failure.ts";
import type { WorkerLegacy } from "./worker-legacy.ts";
import { WorkerLink } from "./worker-link.ts";
import type { WorkerReport, WorkerRequest } from "./worker-protocol.ts";

export interface WorkerKeeperOptions {
  readonly directory: string;
  readonly workerUrl: URL;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly legacy: WorkerLegacy;
}

/** What a keeper tells its owner. */
export interface WorkerOwner {
  onReport(report: WorkerReport): void;
  /** The thread ended by itself, busy with `job` (0: with none). True if that explains it, so that it does not count. */
  onCrash(job: number, reason: string): boolean;
  /** No thread has the files open, and what the last one did not answer is for the next. False: `start` says when. */
  onGone(): boolean;
  /** For good. */
  onFailed(error: TrivetError): void;
  /** After `stop`: no thread runs, and none will. */
  onStopped(): void;
}

/**
 * Keeps one worker thread at work, one after the other: the only way to stop a running statement is to end its thread.
 *
 *     starting -> ready -> ending -> starting ...      `restart`, or the thread ends by itself
 *                              \-> waiting -> starting ...  the disk is full: every second one tries
 *
 * Over for good after `stop` or `fail`, or when threads end by themselves too often.
 */
export class WorkerKeeper {
  readonly #options: WorkerKeeperOptions;
  readonly #owner: WorkerOwner;
  readonly #restarts = new RestartBudget({
    countMax: WORKER_RESTARTS_MAX,
    windowMs: WORKER_RESTARTS_WINDOW_MS,
  });
  #link: WorkerLink;
  /** False while a thread starts or ends. */
  #isReady = false;
  #hasOpened = false;
  #isDiskFull = false;
  /** Set while no thread runs because the disk is full. */
  #roomTimer: Timer | undefined;
  #isStopped = false;
  #failure: TrivetError | undefined;

  constructor(options: WorkerKeeperOptions, owner: WorkerOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#link = this.#startThread();
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Why no thread will run any more. */
  get failure(): TrivetError | undefined {
    return this.#failure;
  }

  /** The job that the thread is busy with; 0 for none. */
  get runningJob(): number {
    return this.#isReady ? this.#link.runningJob : 0;
  }

  /** Buffers in `transfer` move. */
  send(request: WorkerRequest, transfer: readonly ArrayBuffer[] = []): void {
    this.#link.send(request, transfer);
  }

  /** The thread will decline this job, unless it has begun it. */
  cancel(job: number): void {
    this.#link.cancel(job);
  }

  /** The thread has reported that it has the files open, which stand at entry `applied`. */
  opened(applied: number): void {
    if (this.#isDiskFull) this.#options.logger.log("info", "the database goes on", { applied });
    this.#isDiskFull = false;
    this.#hasOpened = true;
    this.#isReady = true;
  }

  /** Ends the thread, wherever it is; another one takes its place. */
  restart(): void {
    this.#isReady = false;
    this.#link.end();
  }

  /** After `onGone` has answered false. */
  start(): void {
    if (this.#isStopped) this.#owner.onStopped();
    else if (this.#failure === undefined) this.#link = this.#startThread();
  }

  /**
   * The thread could not write. Before the files were ever open that is a failure; later what was not done waits, and is
   * done again once there is room.
   */
  diskFull(message: string): void {
    if (!this.#hasOpened) {
      this.fail(message, "store-failed");
      return;
    }
    if (!this.#isDiskFull) {
      // mark: store: the disk is full, the database waits for room
      const { logger } = this.#options;
      logger.log("error", "the disk is full: the database does nothing until there is room", { message });
    }
    this.#isDiskFull = true;
    this.restart();
  }

  /** Ends the thread, for good. */
  fail(reason: string, code: StoreFailure): void {
    this.#failure = storeFailed(code, reason);
    this.#options.logger.log("error", "the database of this node has failed", { code, reason });
    this.restart();
    this.#owner.onFailed(this.#failure);
  }

  /** Ends the thread, in good order: `onStopped` follows. */
  stop(): void {
    this.#isStopped = true;
    if (this.#roomTimer === undefined) {
      this.restart();
      return;
    }
    // There is no thread that could end.
    this.#roomTimer.cancel();
    this.#owner.onStopped();
  }

  #startThread(): WorkerLink {
    const { directory, workerUrl, clock, legacy } = this.#options;
    const { foregone, pinnedAt } = legacy;
    const link: WorkerLink = new WorkerLink(
      workerUrl,
      { directory, clock, foregone, pinnedAt, isFirst: !this.#hasOpened },
      {
        onReport: (report) => {
          // What a thread still says that is being ended for good is nobody's concern.
          if (!this.#isStopped && this.#failure === undefined) this.#owner.onReport(report);
        },
        onEnd: (reason) => this.#onEnd(link, reason),
      },
    );
    return link;
  }

  #onEnd(link: WorkerLink, reason: string): void {
    if (this.#isStopped) this.#owner.onStopped();
    if (this.#isStopped || this.#failure !== undefined) return;
    this.#isReady = false;
    if (reason !== "" && !this.#mayGoOn(link.runningJob, reason)) return;
    if (!this.#owner.onGone()) return;
    if (this.#isDiskFull) this.#startLater();
    else this.start();
  }

  #mayGoOn(job: number, reason: string): boolean {
    const { logger, clock } = this.#options;
    logger.log("warn", "the database worker ended by itself", { reason });
    if (this.#owner.onCrash(job, reason)) return true;
    const mayRestart = this.#hasOpened && this.#restarts.take(clock.nowMs());
    if (!mayRestart) this.fail(`its worker ended: ${reason}`, "store-failed");
    return mayRestart;
  }

  /** Opening the files writes, so the next thread tells whether there is room again. */
  #startLater(): void {
    this.#roomTimer = this.#options.clock.setTimer(ROOM_RETRY_MS, () => {
      this.#roomTimer = undefined;
      this.start();
    });
  }
}
