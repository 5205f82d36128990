import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { APPLY_BYTES_MAX, APPLY_ENTRIES_MAX, QUERIES_MAX } from "./limits.ts";
import { planQuery } from "./query-plan.ts";
import { commandBytes, sliceEntries } from "./slice-entries.ts";
import { openStoreWorker, type StoreWorkerProxy } from "./store-worker-proxy.ts";
import type { CommandResult, LogPosition, SqlStatement, Store, StoreEntry } from "./types.ts";

export interface SqliteStoreOptions {
  /** Exists, and is this process's alone: the caller holds its lock. */
  readonly directory: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** The worker's entry; by default `store-worker` beside this module, with this module's extension. */
  readonly workerUrl?: URL;
}

/** Opens `app.db` and `state.db` in the directory, or creates them. Rejects with `store-failed`. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { directory, logger, clock, workerUrl = defaultWorkerUrl() } = options;
  return new SqliteStore(await openStoreWorker({ directory, logger, clock, workerUrl }));
}

function defaultWorkerUrl(): URL {
  return new URL(`./store-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}

/** The state machine on SQLite: what a caller may ask, within its bounds. The work is done by the worker. */
class SqliteStore implements Store {
  readonly #worker: StoreWorkerProxy;
  /** Index of the last entry that was taken. */
  #lastTaken: number;
  #waitingEntries = 0;
  #waitingBytes = 0;
  #queries = 0;
  #closed: Promise<void> | undefined;

  constructor(worker: StoreWorkerProxy) {
    this.#worker = worker;
    this.#lastTaken = worker.applied.index;
  }

  get applied(): LogPosition {
    return this.#worker.applied;
  }

  async apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]> {
    this.#requireOpen();
    const bytes = commandBytes(entries);
    this.#requireRoom(entries.length, bytes);
    for (const { index } of entries) {
      invariant(index === this.#lastTaken + 1, `entry ${index} follows entry ${this.#lastTaken}`);
      this.#lastTaken = index;
    }
    this.#waitingEntries += entries.length;
    this.#waitingBytes += bytes;
    try {
      const slices = sliceEntries(entries).map((slice) => this.#worker.apply(slice));
      return (await Promise.all(slices)).flat();
    } finally {
      this.#waitingEntries -= entries.length;
      this.#waitingBytes -= bytes;
    }
  }

  async query(
    statements: readonly SqlStatement[],
    options: { readonly timeoutMs: number },
  ): Promise<CommandResult> {
    this.#requireOpen();
    const plan = planQuery(statements);
    if (plan.asked.length === 0) return plan.complete([]);
    if (this.#queries >= QUERIES_MAX) {
      throw new TrivetError("store-busy", `${QUERIES_MAX} queries wait already. Try again later.`);
    }
    this.#queries += 1;
    try {
      return plan.complete(await this.#worker.query(plan.asked, options.timeoutMs));
    } finally {
      this.#queries -= 1;
    }
  }

  async checkpoint(): Promise<LogPosition> {
    this.#requireOpen();
    return this.#worker.checkpoint();
  }

  close(): Promise<void> {
    this.#closed ??= this.#worker.close();
    return this.#closed;
  }

  /** What comes while nothing waits is always taken. */
  #requireRoom(entries: number, bytes: number): void {
    const isEmpty = this.#waitingEntries === 0;
    const fits =
      this.#waitingEntries + entries <= APPLY_ENTRIES_MAX && this.#waitingBytes + bytes <= APPLY_BYTES_MAX;
    if (isEmpty || fits) return;
    throw new TrivetError(
      "store-busy",
      `${this.#waitingEntries} entries of ${this.#waitingBytes} bytes wait to be applied. Await them first.`,
    );
  }

  #requireOpen(): void {
    if (this.#closed !== undefined) throw new TrivetError("store-closed", "The store has been closed.");
  }
}
