import { Worker } from "node:worker_threads";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/trivet-error.ts";
import { WORKER_START_TIMEOUT_MS } from "./limits.ts";
import { WorkerControl } from "./worker-control.ts";
import type { WorkerOptions, WorkerReport, WorkerRequest } from "./worker-protocol.ts";

/** What a link tells its owner; nothing any more after `onEnd`. */
export interface WorkerListener {
  onReport(report: WorkerReport): void;
  /** The thread has ended, and all its reports have been delivered. `reason` is empty if `end` was called. */
  onEnd(reason: string): void;
}

/**
 * Results are all that the worker keeps on its JavaScript heap. The native stack holds the frames of deep SQL, which
 * are larger on ARM than the default has room for.
 */
const RESOURCE_LIMITS = {
  maxYoungGenerationSizeMb: 4,
  maxOldGenerationSizeMb: 192,
  stackSizeMb: 8,
} as const;

/** One worker thread from its start to its end. */
export class WorkerLink {
  readonly #worker: Worker;
  readonly #control = new WorkerControl();
  #hasEnded = false;
  #reason = "it ended by itself";

  constructor(
    url: URL,
    options: Omit<WorkerOptions, "kind" | "control"> & { readonly clock: Clock },
    listener: WorkerListener,
  ) {
    const { clock, ...rest } = options;
    const workerData: WorkerOptions = { kind: "serve", ...rest, control: this.#control.buffer };
    this.#worker = new Worker(url, { workerData, execArgv: [], resourceLimits: RESOURCE_LIMITS });
    const startTimer = clock.setTimer(WORKER_START_TIMEOUT_MS, () => {
      this.#reason = `it did not open the databases within ${WORKER_START_TIMEOUT_MS} ms`;
      void this.#worker.terminate();
    });
    this.#worker.on("message", (report: WorkerReport) => {
      startTimer.cancel();
      if (report.kind === "answered") this.#control.take(report.bytes);
      listener.onReport(report);
    });
    this.#worker.on("error", (error) => {
      this.#reason = messageOf(error);
    });
    this.#worker.on("exit", () => {
      startTimer.cancel();
      this.#hasEnded = true;
      listener.onEnd(this.#reason);
    });
  }

  /** The job that the worker is busy with; 0 for none. */
  get runningJob(): number {
    return this.#control.runningJob;
  }

  /** Buffers in `transfer` move. */
  send(request: WorkerRequest, transfer: readonly ArrayBuffer[] = []): void {
    if (!this.#hasEnded) this.#worker.postMessage(request, [...transfer]);
  }

  /** The worker will decline this query, unless it has begun it. */
  cancel(job: number): void {
    this.#control.cancel(job);
  }

  /** Ends the thread wherever it is, within milliseconds; `onEnd` follows. */
  end(): void {
    this.#reason = "";
    void this.#worker.terminate();
  }
}
