import type { Timer } from "../platform/clock.ts";
import { packEntries } from "./packed-entries.ts";
import type { ScrubbedSlice } from "./page-guard.ts";
import type { PinnedState } from "./shared-snapshot.ts";
import type { SnapshotFileName } from "./snapshot.ts";
import type { CommandResult, LogPosition, StoreEntry } from "./types.ts";
import type { WorkerKeeper } from "./worker-keeper.ts";
import type { Answer, Question } from "./worker-protocol.ts";

/** Work for the worker, as the proxy keeps it until it is answered. */
export type StoreJob = ApplyJob | QuestionJob | CheckpointJob | PinJob | UnpinJob | ScrubJob | CloseJob;

interface Settling<Answer> {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A slice of an `apply` call. */
export interface ApplyJob extends Settling<readonly CommandResult[]> {
  readonly kind: "apply";
  readonly entries: readonly StoreEntry[];
  /** Of the first entries; the rest is not answered yet. */
  readonly results: CommandResult[];
  /** A new worker gets again what an old one has answered: nobody waits for it. */
  readonly isReplay: boolean;
}

export interface QuestionJob extends Settling<Answer> {
  readonly kind: "question";
  readonly question: Question;
  readonly deadline: Timer;
  /** Its number with the worker; 0 while it waits. */
  sentAs: number;
  /** True once its promise is settled: it is not sent, or not sent again. */
  isSettled: boolean;
}

export interface CheckpointJob extends Settling<LogPosition> {
  readonly kind: "checkpoint";
}

export interface PinJob extends Settling<PinnedState> {
  readonly kind: "pin";
}

export interface UnpinJob extends Settling<void> {
  readonly kind: "unpin";
}

export interface ScrubJob extends Settling<ScrubbedSlice> {
  readonly kind: "scrub";
  readonly name: SnapshotFileName;
  readonly page: number;
}

export interface CloseJob extends Settling<void> {
  readonly kind: "close";
}

/** Sends what is still to be done of `job`, under the number `id`. */
export function sendJob(worker: WorkerKeeper, id: number, job: StoreJob): void {
  switch (job.kind) {
    case "apply": {
      const entries = packEntries(job.entries.slice(job.results.length));
      worker.send({ kind: "apply", job: id, entries }, [entries.positions.buffer, entries.contents.buffer]);
      break;
    }
    case "question":
      job.sentAs = id;
      worker.send({ ...job.question, job: id });
      break;
    case "scrub":
      worker.send({ kind: job.kind, job: id, name: job.name, page: job.page });
      break;
    case "checkpoint":
    case "pin":
    case "unpin":
    case "close":
      worker.send({ kind: job.kind, job: id });
      break;
  }
}
