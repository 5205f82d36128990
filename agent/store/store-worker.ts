import { setFlagsFromString } from "node:v8";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { InvariantError, invariant } from "../platform/invariant.ts";
import { messageOf } from "../platform/trivet-error.ts";
import { answerBytes } from "./answer-bytes.ts";
import { type CheckOptions, checkFiles } from "./check-files.ts";
import { TransactionLostError } from "./command-runner.ts";
import { isDiskFull } from "./disk-room.ts";
import { COMMIT_DELAY_MS, RESULT_MESSAGE_BYTES_MAX, UNTAKEN_BYTES_MAX, WORKER_MEMORY_MAX } from "./limits.ts";
import { unpackEntries } from "./packed-entries.ts";
import { WroteTooMuchError } from "./questions.ts";
import type { RanCommand } from "./ran-command.ts";
import { SqliteError } from "./sqlite-error.ts";
import { loadSqliteWasm, type SqliteWasm } from "./sqlite-wasm.ts";
import { StateMachine } from "./state-machine.ts";
import { StatementError } from "./statement-error.ts";
import { useUtc } from "./utc.ts";
import { WorkerControl } from "./worker-control.ts";
import type {
  Answer,
  FailureCause,
  StoreState,
  WorkerOptions,
  WorkerReport,
  WorkerRequest,
} from "./worker-protocol.ts";

/**
 * The thread that SQLite blocks instead of the main one. Takes jobs in order, one at a time, and decides when to
 * commit. It keeps nothing that the proxy could not give to another worker, so it may be ended at any moment.
 */
class StoreWorker {
  readonly #port: MessagePort;
  readonly #control: WorkerControl;
  readonly #machine: StateMachine;
  readonly #wasm: SqliteWasm;
  readonly #directory: string;
  #commitTimer: NodeJS.Timeout | undefined;
  /** That the files have been pinned for too long. */
  #hasReportedPin = false;
  #hasReportedMemory = false;
  #reportedTables: StoreState["tables"] = null;
  /** Set by the first failure; from then on nothing is done. */
  #hasStopped = false;

  constructor(parts: {
    readonly port: MessagePort;
    readonly control: WorkerControl;
    readonly machine: StateMachine;
    readonly wasm: SqliteWasm;
    readonly directory: string;
  }) {
    this.#port = parts.port;
    this.#control = parts.control;
    this.#machine = parts.machine;
    this.#wasm = parts.wasm;
    this.#directory = parts.directory;
  }

  start(): void {
    this.#report({
      kind: "opened",
      applied: this.#machine.applied,
      state: this.#stateOfMachine(),
    });
    this.#port.on("message", (request: WorkerRequest) => this.#handle(request));
  }

  #handle(request: WorkerRequest): void {
    if (this.#hasStopped) return;
    // Before it runs: what waits for this is the main thread, and no question that could be ended for it.
    if (mayAnswerMuch(request)) this.#control.waitUntilTaken(UNTAKEN_BYTES_MAX);
    this.#control.setRunningJob(request.job);
    try {
      this.#carryOut(request);
    } catch (error) {
      this.#stop(error);
    } finally {
      this.#control.setRunningJob(0);
    }
    this.#reportFindings();
    this.#maybeReportMemory();
  }

  #carryOut(request: WorkerRequest): void {
    switch (request.kind) {
      case "apply":
        this.#apply(request);
        break;
      case "query":
        this.#answer(request.job, () => ({
          kind: "query",
          results: this.#machine.questions.query(request.statements),
        }));
        break;
      case "rehearse":
        // First, so that what is rolled back is the rehearsal's and nothing else.
        this.#commit();
        this.#answer(request.job, () => ({
          kind: "rehearse",
          rehearsed: this.#machine.questions.rehearse(request.command, request.bytesMax),
        }));
        break;
      case "get-object":
      case "list-objects":
      case "object-history":
        this.#answer(request.job, () => this.#machine.questions.answer(request, this.#machine.applied.index));
        break;
      case "checkpoint": {
        const position = this.#machine.checkpoint();
        this.#reportCommitted();
        this.#report({ kind: "checkpointed", job: request.job, position });
        break;
      }
      case "pin": {
        this.#hasReportedPin = false;
        const state = this.#machine.pin();
        this.#report(
          { kind: "pinned", job: request.job, state },
          Object.values(state.sums).map((sums) => sums.buffer),
        );
        this.#reportCommitted();
        break;
      }
      case "unpin":
        this.#machine.unpin();
        this.#report({ kind: "unpinned", job: request.job });
        break;
      case "scrub": {
        const slice = this.#machine.scrub(request.name, request.page);
        this.#report({ kind: "scrubbed", job: request.job, slice });
        break;
      }
      case "close":
        this.#machine.close();
        this.#report({ kind: "closed", job: request.job });
        this.#port.close();
        break;
    }
  }

  #apply({ job, entries }: Extract<WorkerRequest, { readonly kind: "apply" }>): void {
    let ran: RanCommand[] = [];
    let bytes = 0;
    const reportRan = (): void => {
      if (ran.length > 0) this.#reportApplied(job, ran);
      ran = [];
      bytes = 0;
    };
    for (const entry of unpackEntries(entries)) {
      if (entry.command !== null && this.#machine.mustCommitFirst) {
        reportRan();
        this.#commit();
      }
      const one = this.#machine.apply(entry);
      ran.push(one);
      bytes += one.bytes;
      if (this.#machine.shouldCommit || bytes >= RESULT_MESSAGE_BYTES_MAX) reportRan();
      if (this.#machine.shouldCommit) this.#commit();
    }
    reportRan();
    if (!this.#machine.hasUncommitted) return;
    this.#commitTimer ??= setTimeout(() => this.#commitInTime(), COMMIT_DELAY_MS);
  }

  #reportApplied(job: number, ran: readonly RanCommand[]): void {
    this.#report({
      kind: "applied",
      job,
      results: ran.map(({ results }) => results),
      events: ran.flatMap(({ events }) => events),
      state: this.#stateOfMachine(),
    });
  }

  #stateOfMachine(): StoreState {
    const { newest, hiddenWork, dataBytes, lastTimeMs, digest, configuration } = this.#machine;
    const tables = this.#machine.tables === this.#reportedTables ? null : this.#machine.tables;
    this.#reportedTables = this.#machine.tables;
    return { newest, hiddenWork, dataBytes, tables, lastTimeMs, digest, configuration };
  }

  #answer(job: number, ask: () => Answer): void {
    if (this.#control.isCancelled(job)) {
      this.#report({ kind: "declined", job, code: "query-timeout", message: "It waited too long." });
      return;
    }
    try {
      const answer = ask();
      const bytes = answerBytes(answer);
      this.#control.send(bytes);
      this.#report({ kind: "answered", job, answer, bytes });
    } catch (error) {
      if (isDamage(error)) {
        // mark: store: a query met a damaged page
        this.#stop(error);
      } else if (error instanceof StatementError) {
        this.#report({ kind: "declined", job, code: error.code, message: error.message });
      } else if (error instanceof WroteTooMuchError) {
        this.#hasStopped = true;
        this.#report({ kind: "wrote-too-much", job, bytesMax: error.bytesMax });
      } else {
        this.#hasStopped = true;
        this.#report({ kind: "broken-by-question", job, message: messageOf(error) });
      }
    }
  }

  #commitInTime(): void {
    if (this.#hasStopped) return;
    try {
      this.#commit();
    } catch (error) {
      this.#stop(error);
    }
    this.#reportFindings();
    this.#maybeReportMemory();
  }

  #reportFindings(): void {
    if (this.#hasStopped) return;
    const findings = this.#machine.takeFindings();
    if (findings.length > 0) this.#report({ kind: "found", findings });
  }

  #maybeReportMemory(): void {
    const memoryBytes = this.#wasm.memory().length;
    if (this.#hasStopped || this.#hasReportedMemory || memoryBytes <= WORKER_MEMORY_MAX) return;
    if (this.#machine.hasUncommitted) return;
    this.#hasReportedMemory = true;
    this.#report({ kind: "bloated", memoryBytes });
  }

  #commit(): void {
    this.#machine.commit();
    this.#reportCommitted();
  }

  #reportCommitted(): void {
    clearTimeout(this.#commitTimer);
    this.#commitTimer = undefined;
    this.#report({ kind: "committed", index: this.#machine.applied.index });
    if (this.#hasReportedPin || !this.#machine.hasOutgrownPin) return;
    this.#hasReportedPin = true;
    this.#report({ kind: "pin-outgrown" });
  }

  #stop(error: unknown): void {
    this.#hasStopped = true;
    clearTimeout(this.#commitTimer);
    if (error instanceof TransactionLostError) {
      const { statement, result } = error;
      this.#report({
        kind: "transaction-lost",
        foregone: { index: this.#machine.applied.index + 1, statement, result },
      });
    } else {
      const cause = causeOf(error, this.#directory);
      this.#report({ kind: "failed", message: messageOf(error), cause });
    }
  }

  /** Buffers in `transfer` move. */
  #report(report: WorkerReport, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(report, transfer);
  }
}

function mayAnswerMuch({ kind }: WorkerRequest): boolean {
  return kind === "query" || kind === "list-objects" || kind === "object-history";
}

function isDamage(error: unknown): boolean {
  return error instanceof SqliteError && error.isDamage;
}

function causeOf(error: unknown, directory: string): FailureCause {
  if (isDamage(error)) return "damage";
  // Also where no file can be opened: SQLite's lock is a directory here, which needs a block.
  return !(error instanceof InvariantError) && isDiskFull(directory) ? "full" : "other";
}

async function main(port: MessagePort, options: WorkerOptions | CheckOptions): Promise<void> {
  // Before the module is compiled: the optimizing compiler would take 30 MB and make nothing faster here.
  setFlagsFromString("--liftoff-only");
  useUtc();
  if (options.kind === "check") {
    port.postMessage(checkFiles(await loadSqliteWasm(), options));
    return;
  }
  try {
    const wasm = await loadSqliteWasm();
    const machine = new StateMachine(wasm, options);
    const control = new WorkerControl(options.control);
    new StoreWorker({ port, control, machine, wasm, directory: options.directory }).start();
  } catch (error) {
    const report: WorkerReport = {
      kind: "failed",
      message: `the databases cannot be opened: ${messageOf(error)}`,
      cause: causeOf(error, options.directory),
    };
    port.postMessage(report);
  }
}

invariant(parentPort !== null, "store-worker runs in a worker thread");
await main(parentPort, workerData);
