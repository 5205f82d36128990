import type { Clock, Timer } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";
import { JobQueue } from "./job-queue.ts";
import {
  APPLY_PATIENCE_MS,
  CLOSE_TIMEOUT_MS,
  REPLACE_PATIENCE_MS,
  ROOM_RETRY_MS,
  WORKER_RESTARTS_MAX,
  WORKER_RESTARTS_WINDOW_MS,
} from "./limits.ts";
import { heldUpWrites, ranTooLong, waitedTooLong } from "./question-error.ts";
import { RestartBudget } from "./restart-budget.ts";
import { rejectBroken, rejectJob, settleQuestion } from "./settle-job.ts";
import type { PinnedState } from "./shared-snapshot.ts";
import { type StoreFailure, storeFailed } from "./store-failure.ts";
import { type QuestionJob, type StoreJob, sendJob } from "./store-jobs.ts";
import { StoreView } from "./store-view.ts";
import type { CommandResult, LogPosition, StoreEntry } from "./types.ts";
import { UncommittedEntries } from "./uncommitted-entries.ts";
import { WorkerLink } from "./worker-link.ts";
import type { Answer, ForegoneResult, Question, WorkerReport } from "./worker-protocol.ts";

export interface StoreWorkerProxyOptions {
  readonly directory: string;
  readonly workerUrl: URL;
  readonly logger: Logger;
  readonly clock: Clock;
  /** So much was written while the files were pinned that `unpin` should come soon. */
  readonly onPinOutgrown: () => void;
}

/** Other files take the place of the ones that are open. */
interface Replacement {
  /** `draining`: the thread does what it was sent. `swapping`: none has the files open. `opening`: another one does. */
  stage: "draining" | "swapping" | "opening";
  readonly swap: () => Promise<void>;
  readonly patience: Timer;
  readonly resolve: (lastTaken: number) => void;
  readonly reject: (error: Error) => void;
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
 * The only way to stop a running question is to end the thread. So all that a thread knows is either in the files or
 * here: a new one gets the entries that the old one had applied and not committed, then the jobs that it had not
 * answered. The callers of those notice nothing.
 */
export class StoreWorkerProxy {
  readonly #options: StoreWorkerProxyOptions;
  readonly #restarts = new RestartBudget({
    countMax: WORKER_RESTARTS_MAX,
    windowMs: WORKER_RESTARTS_WINDOW_MS,
  });
  readonly #uncommitted = new UncommittedEntries();
  #foregone: readonly ForegoneResult[] = [];
  #pinnedAt: LogPosition | null = null;
  #replacement: Replacement | undefined;
  #isDiskFull = false;
  /** Set while no thread runs because the disk is full. */
  #roomTimer: Timer | undefined;
  #link: WorkerLink;
  /** False while a thread starts or ends. */
  #isReady = false;
  #hasClosed = false;
  #failure: TrivetError | undefined;
  #view: StoreView | undefined;
  readonly #jobs = new JobQueue();
  readonly #onFirst: OpenListener;

  constructor(options: StoreWorkerProxyOptions, onFirst: OpenListener) {
    this.#options = options;
    this.#onFirst = onFirst;
    this.#link = this.#startWorker();
  }

  /** What the store is, as of the last entry that was answered; known once the store is open. */
  get view(): StoreView {
    invariant(this.#view !== undefined, "the store is not open yet");
    return this.#view;
  }

  async apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]> {
    const patience = this.#options.clock.setTimer(APPLY_PATIENCE_MS, () => this.#onApplyWaits());
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

  /** Rejects as `question-error.ts` says. */
  ask(question: Question, timeoutMs: number): Promise<Answer> {
    return this.#enqueue((settling) => {
      const deadline = this.#options.clock.setTimer(timeoutMs, () => this.#onDeadline(job, timeoutMs));
      const job: QuestionJob = {
        kind: "question",
        question,
        deadline,
        sentAs: 0,
        isSettled: false,
        ...settling,
      };
      return job;
    });
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
    this.#pinnedAt = null;
    if (this.#failure !== undefined) return;
    this.#jobs.push({ kind: "unpin", resolve: ignore, reject: ignore });
    this.#pump();
  }

  /**
   * Runs `swap` while no thread has the files open, and goes on with what stands there then: see `rebaseJobs` for the
   * entries that wait, questions are answered from the new files. Resolves with the index of the last entry that the
   * files have or that waits. The store fails for good if `swap` rejects. One at a time.
   */
  replaceFiles(swap: () => Promise<void>): Promise<number> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    invariant(this.#replacement === undefined, "the files are being replaced already");
    return new Promise((resolve, reject) => {
      const patience = this.#options.clock.setTimer(REPLACE_PATIENCE_MS, () => this.#endWorker());
      this.#replacement = { stage: "draining", swap, patience, resolve, reject };
      this.#pump();
    });
  }

  /** After all that waits, but within `CLOSE_TIMEOUT_MS`: then the thread is ended wherever it is. */
  async close(): Promise<void> {
    if (this.#failure !== undefined) return;
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
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#jobs.push(createJob({ resolve, reject }));
      this.#pump();
    });
  }

  #startWorker(): WorkerLink {
    const { directory, workerUrl, clock } = this.#options;
    const link: WorkerLink = new WorkerLink(
      workerUrl,
      {
        directory,
        clock,
        foregone: this.#foregone,
        isFirst: this.#view === undefined,
        pinnedAt: this.#pinnedAt,
      },
      {
        onReport: (report) => this.#onReport(report),
        onEnd: (reason) => this.#onWorkerEnd(link, reason),
      },
    );
    return link;
  }

  /** Sends as much as may be in flight. */
  #pump(): void {
    if (this.#replacement !== undefined) {
      const isDrained = this.#replacement.stage === "draining" && this.#jobs.isDrained;
      if (isDrained && this.#isReady) this.#endWorker();
      return;
    }
    while (this.#isReady) {
      const next = this.#jobs.send();
      if (next === undefined) return;
      const { id, job } = next;
      if (job.kind === "apply") this.#uncommitted.add(job.entries);
      sendJob(this.#link, id, job);
    }
  }

  #onReport(report: WorkerReport): void {
    if (this.#hasClosed) return;
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
        this.#uncommitted.dropThrough(report.index);
        this.#foregone = this.#foregone.filter(({ index }) => index > report.index);
        break;
      case "checkpointed":
        this.#jobs.take(report.job, "checkpoint").resolve(report.position);
        break;
      case "pinned":
        this.#pinnedAt = report.state.position;
        this.#jobs.take(report.job, "pin").resolve(report.state);
        break;
      case "unpinned":
        this.#jobs.take(report.job, "unpin").resolve();
        break;
      case "pin-outgrown":
        this.#options.onPinOutgrown();
        break;
      case "closed":
        this.#onClosed(report.job);
        break;
      case "broken-by-question":
        rejectBroken(this.#jobs.take(report.job, "question"), report.message);
        this.#endWorker();
        break;
      case "transaction-lost":
        // mark: store: a statement lost the transaction of all uncommitted entries
        this.#foregone = [...this.#foregone, report.foregone];
        this.#endWorker();
        break;
      case "failed":
        this.#onFailed(report);
        break;
    }
    this.#pump();
  }

  /** A disk without room is no failure once the store is open: what was not done waits, and is done again. */
  #onFailed({ message, cause }: Report<"failed">): void {
    if (cause !== "full" || this.#view === undefined) {
      this.#fail(message, cause === "damage" ? "store-damaged" : "store-failed");
      return;
    }
    if (!this.#isDiskFull) {
      // mark: store: the disk is full, the database waits for room
      const { logger } = this.#options;
      logger.log("error", "the disk is full: the database does nothing until there is room", { message });
    }
    this.#isDiskFull = true;
    this.#endWorker();
  }

  #onOpened(report: Report<"opened">): void {
    const { applied, state } = report;
    if (this.#isDiskFull)
      this.#options.logger.log("info", "the database goes on", { applied: applied.index });
    this.#isDiskFull = false;
    if (this.#view === undefined) {
      this.#view = new StoreView(applied, state);
      this.#onFirst.onOpened();
    } else if (this.#replacement?.stage === "opening") {
      this.#finishReplacement(this.#replacement, report);
    } else {
      const entries = this.#uncommitted.between(applied.index, this.#view.applied.index);
      this.#jobs.replay(entries);
    }
    this.#isReady = true;
  }

  #finishReplacement(replacement: Replacement, { applied, state }: Report<"opened">): void {
    this.#replacement = undefined;
    this.view.advance(applied, state, []);
    replacement.resolve(this.#jobs.rebase(applied));
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
    this.#hasClosed = true;
    this.#endWorker();
    job.resolve();
  }

  /** Nothing is lost: what the files do not have is in the Raft log, and is applied again. */
  #onCloseDeadline(): void {
    this.#options.logger.log("warn", "the database worker was ended in the middle of its work to close", {
      closeTimeoutMs: CLOSE_TIMEOUT_MS,
      applied: this.#view?.applied.index,
    });
    this.#hasClosed = true;
    if (this.#roomTimer === undefined) {
      this.#endWorker();
      return;
    }
    // There is no thread that could end.
    this.#roomTimer.cancel();
    this.#settleClosed();
  }

  #onDeadline(job: QuestionJob, timeoutMs: number): void {
    if (job.isSettled) return;
    let isRunning = false;
    if (job.sentAs > 0) {
      this.#link.cancel(job.sentAs);
      isRunning = this.#isReady && this.#link.runningJob === job.sentAs;
    }
    const error = isRunning ? ranTooLong(job.question, timeoutMs) : waitedTooLong(job.question, timeoutMs);
    settleQuestion(job, () => job.reject(error));
    this.#jobs.drop(job);
    if (isRunning) this.#endWorker();
  }

  /** Entries have waited long enough. If a question holds them up, it is ended. */
  #onApplyWaits(): void {
    const job = this.#jobs.sent(this.#link.runningJob);
    if (!this.#isReady || job?.kind !== "question") return;
    settleQuestion(job, () => job.reject(heldUpWrites(job.question, APPLY_PATIENCE_MS)));
    this.#endWorker();
  }

  /** What it was told and did not answer goes to the next one. */
  #endWorker(): void {
    this.#isReady = false;
    this.#link.end();
  }

  #onWorkerEnd(link: WorkerLink, reason: string): void {
    if (this.#hasClosed) this.#settleClosed();
    if (this.#hasClosed || this.#failure !== undefined) return;
    this.#isReady = false;
    const isDraining = this.#replacement?.stage === "draining";
    if (reason !== "" && !isDraining && !this.#mayRestart(link, reason)) return;
    this.#jobs.recall();
    if (this.#replacement !== undefined && isDraining) void this.#swapFiles(this.#replacement);
    else if (this.#isDiskFull) this.#startWorkerLater();
    else this.#link = this.#startWorker();
  }

  /** Its opening writes, so it tells whether there is room again. */
  #startWorkerLater(): void {
    this.#roomTimer = this.#options.clock.setTimer(ROOM_RETRY_MS, () => {
      this.#roomTimer = undefined;
      this.#link = this.#startWorker();
    });
  }

  /** What the old files lacked is of no use to the new ones. */
  async #swapFiles(replacement: Replacement): Promise<void> {
    replacement.stage = "swapping";
    replacement.patience.cancel();
    try {
      await replacement.swap();
    } catch (error) {
      // mark: store: a snapshot was cut off while it took the place of the databases
      this.#fail(`a snapshot could not take its place: ${messageOf(error)}`, "store-failed");
    }
    if (this.#hasClosed) this.#settleClosed();
    if (this.#hasClosed || this.#failure !== undefined) return;
    this.#uncommitted.clear();
    this.#foregone = [];
    this.#pinnedAt = null;
    replacement.stage = "opening";
    this.#link = this.#startWorker();
  }

  /** A thread that ended by itself: the fault of the question it was busy with, or counted. */
  #mayRestart(link: WorkerLink, reason: string): boolean {
    const job = this.#jobs.sent(link.runningJob);
    this.#options.logger.log("warn", "the database worker ended by itself", { reason });
    if (job?.kind === "question") {
      rejectBroken(job, reason);
      return true;
    }
    const mayRestart = this.#view !== undefined && this.#restarts.take(this.#options.clock.nowMs());
    if (!mayRestart) this.#fail(`its worker ended: ${reason}`, "store-failed");
    return mayRestart;
  }

  /** For good: every caller, now and later, gets the error. */
  #fail(reason: string, code: StoreFailure): void {
    this.#failure = storeFailed(code, reason);
    this.#options.logger.log("error", "the database of this node has failed", { code, reason });
    this.#endWorker();
    this.#onFirst.onFailed(this.#failure);
    this.#replacement?.reject(this.#failure);
    if (this.#hasClosed) return;
    for (const job of this.#jobs.takeAll()) rejectJob(job, this.#failure);
  }

  /** What was cut off to close: the closing itself is done. */
  #settleClosed(): void {
    const error = new TrivetError("store-closed", "The store was closed before it was done with this.");
    this.#replacement?.reject(error);
    for (const job of this.#jobs.takeAll()) {
      if (job.kind === "close") job.resolve();
      else rejectJob(job, error);
    }
  }
}

/** Nobody waits for it. */
const ignore = () => undefined;
