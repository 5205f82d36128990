import type { Clock } from "../platform/clock.ts";
import type { TrivetError } from "../platform/trivet-error.ts";
import type { JobQueue } from "./job-queue.ts";
import { APPLY_PATIENCE_MS } from "./limits.ts";
import { heldUpWrites, ranTooLong, waitedTooLong } from "./question-error.ts";
import { rejectBroken, settleQuestion } from "./settle-job.ts";
import type { Silence } from "./silence.ts";
import type { QuestionJob } from "./store-jobs.ts";
import type { WorkerKeeper } from "./worker-keeper.ts";
import type { Question } from "./worker-protocol.ts";

/**
 * Cuts questions short: at their deadline, when writes have waited long enough for one, or when one took its thread along.
 * The one that runs can only be ended with the thread.
 */
export class QuestionWatch {
  readonly #clock: Clock;
  readonly #jobs: JobQueue;
  readonly #keeper: WorkerKeeper;
  readonly #silence: Silence;

  constructor(parts: {
    readonly clock: Clock;
    readonly jobs: JobQueue;
    readonly keeper: WorkerKeeper;
    readonly silence: Silence;
  }) {
    this.#clock = parts.clock;
    this.#jobs = parts.jobs;
    this.#keeper = parts.keeper;
    this.#silence = parts.silence;
  }

  /** True while the worker is busy with a question that has time left. */
  get isRunning(): boolean {
    const job = this.#jobs.sent(this.#keeper.runningJob);
    return job?.kind === "question" && !job.isSettled;
  }

  /**
   * The job of a question that has `timeoutMs` from now on, and less if `othersWait` is aborted, because they have waited for it for
   * `APPLY_PATIENCE_MS`.
   */
  begin(
    question: Question,
    timeoutMs: number,
    settling: Pick<QuestionJob, "resolve" | "reject">,
    othersWait?: AbortSignal,
  ): QuestionJob {
    const deadline = this.#clock.setTimer(timeoutMs, () => this.#onDeadline(job, timeoutMs));
    const job: QuestionJob = {
      kind: "question",
      question,
      deadline,
      sentAs: 0,
      isSettled: false,
      ...settling,
    };
    othersWait?.addEventListener("abort", () => this.#onOthersWait(job), { once: true });
    return job;
  }

  /** Entries have waited for `APPLY_PATIENCE_MS`. If a question holds them up, it is ended. */
  writesWait(): void {
    const job = this.#jobs.sent(this.#keeper.runningJob);
    if (job?.kind !== "question") return;
    settleQuestion(job, () => job.reject(heldUpWrites(job.question, APPLY_PATIENCE_MS)));
    this.#end();
  }

  /** The thread ended by itself, busy with job `id`. True if that is the fault of a question. */
  blame(id: number, reason: string): boolean {
    const job = this.#jobs.sent(id);
    if (job?.kind !== "question") return false;
    rejectBroken(job, reason);
    return true;
  }

  #onDeadline(job: QuestionJob, timeoutMs: number): void {
    const { question } = job;
    this.#giveUp(job, {
      ifRunning: ranTooLong(question, timeoutMs),
      else: waitedTooLong(question, timeoutMs),
    });
  }

  #onOthersWait(job: QuestionJob): void {
    const { question } = job;
    const ifRunning = heldUpWrites(question, APPLY_PATIENCE_MS);
    this.#giveUp(job, { ifRunning, else: waitedTooLong(question, APPLY_PATIENCE_MS) });
  }

  #giveUp(job: QuestionJob, errors: { readonly ifRunning: TrivetError; readonly else: TrivetError }): void {
    if (job.isSettled) return;
    if (job.sentAs > 0) this.#keeper.cancel(job.sentAs);
    const isRunning = job.sentAs > 0 && this.#keeper.runningJob === job.sentAs;
    settleQuestion(job, () => job.reject(isRunning ? errors.ifRunning : errors.else));
    this.#jobs.drop(job);
    if (isRunning) this.#end();
  }

  /** The one that runs: from now on the worker owes another one's start. */
  #end(): void {
    this.#silence.excused();
    this.#keeper.restart();
  }
}
