import { JOBS_IN_FLIGHT_MAX } from "./limits.ts";

const RUNNING_JOB = 0;
const UNTAKEN_BYTES = 1;
const FIRST_FLAG = 2;

/**
 * Memory that both threads see while the worker is busy.
 *
 * - Which job is running (0: none), and a flag for each job in flight that its caller has given up. The worker says which job it
 *   begins and then looks at the flag, the proxy sets the flag and then looks which job is running: one of them notices the other.
 * - How many bytes of answers are on their way. The worker is faster than the main thread, which makes text of them: it would make
 *   one large answer after another, and all of them would wait in memory.
 */
export class WorkerControl {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4 * (FIRST_FLAG + JOBS_IN_FLIGHT_MAX))) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
  }

  get runningJob(): number {
    return Atomics.load(this.#cells, RUNNING_JOB);
  }

  setRunningJob(job: number): void {
    Atomics.store(this.#cells, RUNNING_JOB, job);
  }

  isCancelled(job: number): boolean {
    return Atomics.load(this.#cells, cellOf(job)) === job;
  }

  cancel(job: number): void {
    Atomics.store(this.#cells, cellOf(job), job);
  }

  get untakenBytes(): number {
    return Atomics.load(this.#cells, UNTAKEN_BYTES);
  }

  /** The worker sends an answer. */
  send(bytes: number): void {
    Atomics.add(this.#cells, UNTAKEN_BYTES, bytes);
  }

  /** The proxy has got it. */
  take(bytes: number): void {
    Atomics.sub(this.#cells, UNTAKEN_BYTES, bytes);
    Atomics.notify(this.#cells, UNTAKEN_BYTES);
  }

  /** Blocks the worker's thread until at most `bytesMax` are on their way. */
  waitUntilTaken(bytesMax: number): void {
    for (let bytes = this.untakenBytes; bytes > bytesMax; bytes = this.untakenBytes) {
      Atomics.wait(this.#cells, UNTAKEN_BYTES, bytes);
    }
  }
}

/** Jobs in flight are consecutive and at most so many, so each has its own cell. */
function cellOf(job: number): number {
  return FIRST_FLAG + (job % JOBS_IN_FLIGHT_MAX);
}
