import { Worker } from "node:worker_threads";
import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { CheckAnswer, CheckOptions } from "./check-files.ts";
import { SNAPSHOT_CHECK_TIMEOUT_MS } from "./limits.ts";

/** Checks database files that nobody has open, in a thread of its own: the store goes on meanwhile. */
export type FileChecker = (paths: readonly string[]) => Promise<CheckAnswer>;

/** `url` as of the store's worker, whose entry serves both. Rejects with `snapshot-failed` if the thread does not answer. */
export function createFileChecker(url: URL, clock: Clock): FileChecker {
  return (paths) =>
    new Promise((resolve, reject) => {
      const workerData: CheckOptions = { kind: "check", paths };
      const worker = new Worker(url, { workerData, execArgv: [], resourceLimits: { stackSizeMb: 8 } });
      const timer = clock.setTimer(SNAPSHOT_CHECK_TIMEOUT_MS, () => void worker.terminate());
      let cause: unknown;
      worker.on("message", (answer: CheckAnswer) => resolve(answer));
      worker.on("error", (error) => {
        cause = error;
      });
      // Comes after every message; then the promise is settled and this changes nothing.
      worker.on("exit", () => {
        timer.cancel();
        reject(
          new TrivetError("snapshot-failed", "The thread that checks a snapshot ended early.", { cause }),
        );
      });
    });
}
