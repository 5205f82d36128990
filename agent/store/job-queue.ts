import { invariant } from "../platform/invariant.ts";
import { JOBS_IN_FLIGHT_MAX } from "./limits.ts";
import { rebaseJobs } from "./rebase-jobs.ts";
import { sliceEntries } from "./slice-entries.ts";
import type { ApplyJob, StoreJob } from "./store-jobs.ts";
import type { LogPosition, StoreEntry } from "./types.ts";

type JobOfKind<Kind extends StoreJob["kind"]> = Extract<StoreJob, { readonly kind: Kind }>;

/**
 * What the worker is to do: jobs that wait, and jobs that were sent to it under a number and are not answered. Outlives
 * every worker: what one did not answer is sent to the next.
 */
export class JobQueue {
  #waiting: StoreJob[] = [];
  /** By number, in order. */
  readonly #sent = new Map<number, StoreJob>();
  #lastId = 0;

  /** True while nothing is with the worker. */
  get isDrained(): boolean {
    return this.#sent.size === 0;
  }

  /** True while there is nothing to do. */
  get isEmpty(): boolean {
    return this.isDrained && this.#waiting.length === 0;
  }

  push(job: StoreJob): void {
    this.#waiting.push(job);
  }

  /** Drops a job that waits, if it is one. */
  drop(job: StoreJob): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting !== job);
  }

  /** The job to be sent next, under its number; undefined if none waits, or so many are sent as may be. */
  send(): { readonly id: number; readonly job: StoreJob } | undefined {
    while (this.#sent.size < JOBS_IN_FLIGHT_MAX) {
      const job = this.#takeNext();
      if (job === undefined) return undefined;
      if (job.kind === "question" && job.isSettled) continue;
      this.#lastId += 1;
      this.#sent.set(this.#lastId, job);
      return { id: this.#lastId, job };
    }
    return undefined;
  }

  /** The job that was sent under this number and is not answered. */
  sent(id: number): StoreJob | undefined {
    return this.#sent.get(id);
  }

  /** The same, of this kind: its answer is here. */
  take<Kind extends StoreJob["kind"]>(id: number, kind: Kind): JobOfKind<Kind> {
    const job = this.#sent.get(id);
    invariant(job !== undefined && isOfKind(job, kind), `report of a ${kind} for job ${id}`);
    this.#sent.delete(id);
    return job;
  }

  /** The worker has ended: what it did not answer waits again, before all else. Replays are made anew for the next. */
  recall(): void {
    const jobs = this.takeAll();
    this.#waiting = jobs.filter((job) => job.kind !== "apply" || !job.isReplay);
  }

  /** Before all else, entries that are answered and that a new worker lacks. */
  replay(entries: readonly StoreEntry[]): void {
    this.#waiting.unshift(...sliceEntries(entries).map(createReplay));
  }

  /** See `rebaseJobs`; gives its `lastTaken`. Nothing may be with a worker. */
  rebase(position: LogPosition): number {
    const { waiting, lastTaken } = rebaseJobs(this.#waiting, position);
    this.#waiting = [...waiting];
    return lastTaken;
  }

  /** Empties the queue. */
  takeAll(): readonly StoreJob[] {
    const jobs = [...this.#sent.values(), ...this.#waiting];
    this.#sent.clear();
    this.#waiting = [];
    return jobs;
  }

  /** All else goes before questions, which then see more, never less; but nothing is left behind by the end. */
  #takeNext(): StoreJob | undefined {
    const first = this.#waiting.findIndex(({ kind }) => kind !== "question" && kind !== "close");
    return first > 0 ? this.#waiting.splice(first, 1)[0] : this.#waiting.shift();
  }
}

function isOfKind<Kind extends StoreJob["kind"]>(job: StoreJob, kind: Kind): job is JobOfKind<Kind> {
  return job.kind === kind;
}

function createReplay(entries: readonly StoreEntry[]): ApplyJob {
  return { kind: "apply", entries, results: [], isReplay: true, resolve: ignore, reject: ignore };
}

/** Nobody waits for a replay, and its failure is the store's. */
const ignore = () => undefined;
