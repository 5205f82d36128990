import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";
import { DamageAlarm } from "./damage-alarm.ts";
import { FileReplacement } from "./file-replacement.ts";
import { JobQueue } from "./job-queue.ts";
import {
  APPLY_PATIENCE_MS,
  CLOSE_TIMEOUT_MS,
  REPLACE_PATIENCE_MS,
  WORKER_RENEWALS_WINDOW_MS,
} from "./limits.ts";
import type { ScrubbedSlice } from "./page-guard.ts";
import { wroteTooMuch } from "./question-error.ts";
import { QuestionWatch } from "./question-watch.ts";
import { RestartBudget } from "./restart-budget.ts";
import { rejectBroken, rejectJob, settleQuestion } from "./settle-job.ts";
import type { PinnedState } from "./shared-snapshot.ts";
import { Silence } from "./silence.ts";
import type { SnapshotFileName } from "./snapshot.ts";
import { type StoreJob, sendJob } from "./store-jobs.ts";
import { StoreView } from "./store-view.ts";
import type { CommandResult, LogPosition, StoreEntry } from "./types.ts";
import { WorkerKeeper } from "./worker-keeper.ts";
import { WorkerLegacy } from "./worker-legacy.ts";
import type { Answer, Question, WorkerReport } from "./worker-protocol.ts";

export interface StoreWorkerProxyOptions {
  readonly directory: string;
  readonly workerUrl: URL;
  readonly logger: Logger;
  readonly clock: Clock;
  /** So much was written while the files were pinned that `unpin` should come soon. */
  readonly onPinOutgrown: () => void;
  /** The databases were open, and nothing is done any more. */
  readonly onFailed: (error: TrivetError) => void;
}

type Report<Kind extends WorkerReport["kind"]> = Extract<WorkerReport, { readonly kind: Kind }>;

interface OpenListener {
  onOpened(): void;
  /** Of no consequence after `onOpened`. */
  onFailed(error: Error): void;
}

/** Resolves when the databases are open; rejects with `store-failed`. */
export function openStoreWorker(options: StoreWorkerProxyOptions): Promise<StoreWorkerProxy> {
  return new Promise((resolve, reject) => {
    const worker = new StoreWorkerProxy(options, { onOpened: () => resolve(worker), onFailed: reject });
  });
}

/**
 * The store's worker as it looks from the main thread: one queue of jobs, done in order, that survives its workers.
 *
 * Threads come and go (`WorkerKeeper`). All that one knows is either in the files or here: a new one gets the entries that
 * the old one had applied and not committed, then the jobs that it had not answered. The callers of those notice nothing.
 */
export class StoreWorkerProxy {
  readonly #options: StoreWorkerProxyOptions;
  readonly #onFirst: OpenListener;
  readonly #jobs = new JobQueue();
  readonly #legacy = new WorkerLegacy();
  readonly #keeper: WorkerKeeper;
  readonly #questions: QuestionWatch;
  readonly #alarm: DamageAlarm;
  readonly #silence: Silence;
  readonly #renewals = new RestartBudget({ countMax: 1, windowMs: WORKER_RENEWALS_WINDOW_MS });
  /** What the present worker takes, if that is too much; else 0. */
  #bloatBytes = 0;
  #view: StoreView | undefined;
  #replacement: FileReplacement | undefined;

  constructor(options: StoreWorkerProxyOptions, onFirst: OpenListener) {
    this.#options = options;
    this.#onFirst = onFirst;
    const { directory, workerUrl, logger, clock } = options;
    this.#keeper = new WorkerKeeper(
      { directory, workerUrl, logger, clock, legacy: this.#legacy },
      {
        onReport: (report) => this.#onReport(report),
        onCrash: (job, reason) => this.#onCrash(job, reason),
        onGone: () => this.#onGone(),
        onFailed: (error) => this.#onFailed(error),
        onStopped: () => this.#settleClosed(),
      },
    );
    this.#alarm = new DamageAlarm(clock, logger);
    this.#silence = new Silence(clock);
    const parts = { clock, jobs: this.#jobs, keeper: this.#keeper, silence: this.#silence };
    this.#questions = new QuestionWatch(parts);
  }

  /** What the store is, as of the last entry that was answered; known once the store is open. */
  get view(): StoreView {
    invariant(this.#view !== undefined, "the store is not open yet");
    return this.#view;
  }

  /** See `Store.silentMs`. */
  get silentMs(): number {
    return this.#questions.isRunning ? 0 : this.#silence.ms;
  }

  /** See `Store.toleratedDamage`. */
  get toleratedDamage(): string | null {
    return this.#keeper.failure === undefined ? this.#alarm.damage : null;
  }

  async apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]> {
    const patience = this.#options.clock.setTimer(APPLY_PATIENCE_MS, () => this.#questions.writesWait());
    try {
      return await this.#enqueue<readonly CommandResult[]>((settling) => ({
        kind: "apply",
        entries,
        results: [],
        isReplay: false,
        ...settling,
      }));
    } finally {
      patience.cancel();
    }
  }

  /** Rejects as `question-error.ts` says; `othersWait` is aborted once others have waited for it for `APPLY_PATIENCE_MS`. */
  ask(question: Question, timeoutMs: number, othersWait?: AbortSignal): Promise<Answer> {
    return this.#enqueue((settling) => this.#questions.begin(question, timeoutMs, settling, othersWait));
  }

  checkpoint(): Promise<LogPosition> {
    return this.#enqueue((settling) => ({ kind: "checkpoint", ...settling }));
  }

  /** A checkpoint; from then on the files stay as they are, until `unpin`. */
  pin(): Promise<PinnedState> {
    return this.#enqueue((settling) => ({ kind: "pin", ...settling }));
  }

  /** Does not wait, because nothing depends on when it happens. */
  unpin(): void {
    this.#legacy.pinnedAt = null;
    if (this.#keeper.failure !== undefined) return;
    this.#push({ kind: "unpin", resolve: ignore, reject: ignore });
  }

  /** Looks at some pages of a database: see `PageGuard.scrub`. */
  scrub(name: SnapshotFileName, page: number): Promise<ScrubbedSlice> {
    return this.#enqueue((settling) => ({ kind: "scrub", name, page, ...settling }));
  }

  /** A database is not what was written: see `Store.toleratedDamage`. */
  onDamage(found: string): void {
    this.#alarm.found(found, 1);
  }

  /**
   * Runs `swap` while no thread has the files open, and goes on with what stands there then: see `rebaseJobs` for the
   * entries that wait, questions are answered from the new files. Resolves with the index of the last entry that the
   * files have or that waits. The store fails for good if `swap` rejects. One at a time.
   */
  replaceFiles(swap: () => Promise<void>): Promise<number> {
    const { failure } = this.#keeper;
    if (failure !== undefined) return Promise.reject(failure);
    invariant(this.#replacement === undefined, "the files are being replaced already");
    return new Promise((resolve, reject) => {
      const patience = this.#options.clock.setTimer(REPLACE_PATIENCE_MS, () => this.#keeper.restart());
      this.#replacement = new FileReplacement({ swap, patience, resolve, reject });
      this.#pump();
    });
  }

  /** After all that waits, but within `CLOSE_TIMEOUT_MS`: then the thread is ended wherever it is. */
  async close(): Promise<void> {
    this.#alarm.stop();
    if (this.#keeper.failure !== undefined) return;
    const deadline = this.#options.clock.setTimer(CLOSE_TIMEOUT_MS, () => this.#onCloseDeadline());
    try {
      await this.#enqueue<void>((settling) => ({ kind: "close", ...settling }));
    } finally {
      deadline.cancel();
    }
  }

  #enqueue<Answer>(
    createJob: (settling: {
      readonly resolve: (answer: Answer) => void;
      readonly reject: (error: Error) => void;
    }) => StoreJob,
  ): Promise<Answer> {
    const { failure } = this.#keeper;
    if (failure !== undefined) return Promise.reject(failure);
    return new Promise((resolve, reject) => {
      this.#push(createJob({ resolve, reject }));
    });
  }

  #push(job: StoreJob): void {
    this.#jobs.push(job);
    this.#silence.asked();
    this.#pump();
  }

  /** Sends as much as may be in flight. */
  #pump(): void {
    if (this.#replacement !== undefined) {
      const isDrained = this.#replacement.isDraining && this.#jobs.isDrained;
      if (isDrained && this.#keeper.isReady) this.#keeper.restart();
      return;
    }
    while (this.#keeper.isReady) {
      const next = this.#jobs.send();
      if (next === undefined) return;
      const { id, job } = next;
      if (job.kind === "apply") this.#legacy.sent(job.entries);
      sendJob(this.#keeper, id, job);
    }
  }

  /** Once nobody waits for it. */
  #maybeRenew(): void {
    const { logger, clock } = this.#options;
    const isIdle = this.#keeper.isReady && this.#jobs.isEmpty && this.#replacement === undefined;
    if (this.#bloatBytes === 0 || !isIdle) return;
    if (!this.#renewals.take(clock.nowMs())) return;
    // mark: store: a worker that had grown large makes room for another
    logger.log("info", "the database starts a new worker, to give memory back", {
      memoryBytes: this.#bloatBytes,
    });
    this.#keeper.restart();
  }

  #onReport(report: WorkerReport): void {
    switch (report.kind) {
      case "opened":
        this.#onOpened(report);
        break;
      case "applied":
        this.#onApplied(report);
        break;
      case "answered": {
        const job = this.#jobs.take(report.job, "question");
        settleQuestion(job, () => job.resolve(report.answer));
        break;
      }
      case "declined": {
        const job = this.#jobs.take(report.job, "question");
        settleQuestion(job, () => job.reject(new TrivetError(report.code, report.message)));
        break;
      }
      case "committed":
        this.#legacy.committed(report.index);
        break;
      case "checkpointed":
        this.#jobs.take(report.job, "checkpoint").resolve(report.position);
        break;
      case "pinned":
        this.#legacy.pinnedAt = report.state.position;
        this.#jobs.take(report.job, "pin").resolve(report.state);
        break;
      case "unpinned":
        this.#jobs.take(report.job, "unpin").resolve();
        break;
      case "scrubbed":
        this.#jobs.take(report.job, "scrub").resolve(report.slice);
        break;
      case "found":
        this.#onFound(report);
        break;
      case "pin-outgrown":
        this.#options.onPinOutgrown();
        break;
      case "closed":
        this.#onClosed(report.job);
        break;
      case "bloated":
        this.#bloatBytes = report.memoryBytes;
        break;
      case "broken-by-question":
        rejectBroken(this.#jobs.take(report.job, "question"), report.message);
        this.#keeper.restart();
        break;
      case "wrote-too-much":
        // mark: store: a write that was tried out would have written too much
        rejectJob(this.#jobs.take(report.job, "question"), wroteTooMuch(report.bytesMax));
        this.#keeper.restart();
        break;
      case "transaction-lost":
        // mark: store: a statement lost the transaction of all uncommitted entries
        this.#legacy.forego(report.foregone);
        this.#keeper.restart();
        break;
      case "failed":
        this.#onWorkerFailed(report);
        break;
    }
    this.#pump();
    this.#noteProgress(report);
    this.#maybeRenew();
  }

  /** A thread that has started, and done nothing yet, may be about to fail as the last one did. */
  #noteProgress({ kind }: WorkerReport): void {
    const isIdle = this.#jobs.isEmpty;
    if (kind !== "failed" && (kind !== "opened" || isIdle)) this.#silence.answered(isIdle);
  }

  #onWorkerFailed({ message, cause }: Report<"failed">): void {
    if (cause === "full") this.#keeper.diskFull(message);
    else this.#keeper.fail(message, cause === "damage" ? "store-damaged" : "store-failed");
  }

  #onFound({ findings }: Report<"found">): void {
    const damage = findings.filter(({ isDamage }) => isDamage);
    if (damage[0] !== undefined) this.#alarm.found(damage[0].text, damage.length);
    for (const { isDamage, text } of findings)
      if (!isDamage)
        this.#options.logger.log("info", "The pages of a database were looked at.", { found: text });
  }

  #onOpened({ applied, state }: Report<"opened">): void {
    this.#keeper.opened(applied.index);
    if (this.#view === undefined) {
      this.#view = new StoreView(applied, state);
      this.#onFirst.onOpened();
    } else if (this.#replacement?.isOpening === true) {
      this.#view.advance(applied, state, []);
      this.#replacement.finish(this.#jobs.rebase(applied));
      this.#replacement = undefined;
    } else {
      this.#jobs.replay(this.#legacy.between(applied.index, this.#view.applied.index));
    }
  }

  #onApplied({ job: id, results, events, state }: Report<"applied">): void {
    const job = this.#jobs.sent(id);
    invariant(job?.kind === "apply", `report of entries for job ${id}`);
    job.results.push(...results);
    const last = job.entries[job.results.length - 1];
    if (last !== undefined && !job.isReplay) this.view.advance(last, state, events);
    if (job.results.length < job.entries.length) return;
    this.#jobs.take(id, "apply").resolve(job.results);
  }

  #onClosed(id: number): void {
    const job = this.#jobs.take(id, "close");
    this.#keeper.stop();
    job.resolve();
  }

  /** Nothing is lost: what the files do not have is in the Raft log, and is applied again. */
  #onCloseDeadline(): void {
    this.#options.logger.log("warn", "the database worker was ended in the middle of its work to close", {
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      applied: this.#view?.applied.index,
    });
    this.#keeper.stop();
  }

  /** One that was to be ended anyway is nobody's fault. */
  #onCrash(id: number, reason: string): boolean {
    if (this.#replacement?.isDraining === true) return true;
    return this.#questions.blame(id, reason);
  }

  /** What it was told and did not answer goes to the next one. */
  #onGone(): boolean {
    this.#bloatBytes = 0;
    this.#jobs.recall();
    if (this.#replacement?.isDraining !== true) return true;
    void this.#swapFiles(this.#replacement);
    return false;
  }

  /** What the old files lacked is of no use to the new ones. */
  async #swapFiles(replacement: FileReplacement): Promise<void> {
    try {
      await replacement.swapFiles();
      this.#legacy.clear();
      this.#alarm.clear();
    } catch (error) {
      // mark: store: a snapshot was cut off while it took the place of the databases
      this.#keeper.fail(`a snapshot could not take its place: ${messageOf(error)}`, "store-failed");
    }
    this.#keeper.start();
  }

  /** Every caller, now and later, gets the error. */
  #onFailed(error: TrivetError): void {
    this.#alarm.stop();
    this.#onFirst.onFailed(error);
    this.#replacement?.fail(error);
    if (this.#keeper.isStopped) return;
    if (this.#view !== undefined) this.#options.onFailed(error);
    for (const job of this.#jobs.takeAll()) rejectJob(job, error);
  }

  /** What was cut off to close: the closing itself is done. */
  #settleClosed(): void {
    const error = new TrivetError("store-closed", "The store was closed before it was done with this.");
    this.#replacement?.fail(error);
    for (const job of this.#jobs.takeAll()) {
      if (job.kind === "close") job.resolve();
      else rejectJob(job, error);
    }
  }
}

/** Nobody waits for it. */
const ignore = () => undefined;
