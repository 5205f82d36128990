import { couldNotRun } from "./question-error.ts";
import type { QuestionJob, StoreJob } from "./store-jobs.ts";

/** Settles the promise of a question unless it has been settled. */
export function settleQuestion(job: QuestionJob, settle: () => void): void {
  if (job.isSettled) return;
  job.isSettled = true;
  job.deadline.cancel();
  settle();
}

export function rejectJob(job: StoreJob, error: Error): void {
  if (job.kind === "question") settleQuestion(job, () => job.reject(error));
  else job.reject(error);
}

/** SQLite, or its thread, could not carry it out, for `reason`. */
export function rejectBroken(job: QuestionJob, reason: string): void {
  rejectJob(job, couldNotRun(job.question, reason));
}
