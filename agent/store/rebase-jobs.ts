import { TrivetError } from "../platform/trivet-error.ts";
import type { StoreJob } from "./store-jobs.ts";
import type { LogPosition } from "./types.ts";

export interface RebasedJobs {
  /** In their order. */
  readonly waiting: readonly StoreJob[];
  /** Index of the last entry that is in the files or waits. */
  readonly lastTaken: number;
}

/**
 * What jobs for the old databases are worth with new ones that stand at `position`. Entries up to there are in them, and
 * answered without results as after a crash. Entries that would leave a gap are rejected with `store-replaced`: the new
 * databases are behind the old ones, and the log must be applied again from there.
 */
export function rebaseJobs(jobs: readonly StoreJob[], position: LogPosition): RebasedJobs {
  const waiting: StoreJob[] = [];
  let lastTaken = position.index;
  for (const job of jobs) {
    if (job.kind !== "apply") {
      waiting.push(job);
      continue;
    }
    if (job.isReplay) continue;
    for (const { index } of job.entries.slice(job.results.length)) {
      if (index <= position.index) job.results.push([]);
    }
    const next = job.entries[job.results.length];
    if (next === undefined) {
      job.resolve(job.results);
    } else if (next.index > lastTaken + 1) {
      // mark: store: entries waited that the installed snapshot is too old for
      job.reject(storeReplaced(position));
    } else {
      waiting.push(job);
      lastTaken = job.entries.at(-1)?.index ?? lastTaken;
    }
  }
  return { waiting, lastTaken };
}

function storeReplaced({ index }: LogPosition): TrivetError {
  return new TrivetError(
    "store-replaced",
    `The databases were replaced by a snapshot of entry ${index}. Apply the entries after it again.`,
  );
}
