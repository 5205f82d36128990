import { access } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../platform/clock.ts";
import type { Directory } from "../platform/directory.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import { NodeDirectory } from "../platform/node-directory.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";
import { createFileChecker, type FileChecker } from "./file-checker.ts";
import { APPLY_BYTES_MAX, APPLY_ENTRIES_MAX, QUERIES_MAX, WRITTEN_BYTES_MAX } from "./limits.ts";
import { createObjectReads } from "./object-reads.ts";
import type { ObjectReads } from "./objects.ts";
import type { QueryPlan } from "./query-plan.ts";
import { Scrubber } from "./scrubber.ts";
import { entryBytes, sliceEntries } from "./slice-entries.ts";
import type { SnapshotManifest, SnapshotReceiver, StoreSnapshot } from "./snapshot.ts";
import { SnapshotInstaller } from "./snapshot-installer.ts";
import { SnapshotSource } from "./snapshot-source.ts";
import type { HiddenWork, RehearsalOptions, Rehearsed, Store } from "./store.ts";
import { storeFailed } from "./store-failure.ts";
import type { ObjectEventListener } from "./store-view.ts";
import { openStoreWorker, type StoreWorkerProxy } from "./store-worker-proxy.ts";
import { recoverInstall } from "./swap-databases.ts";
import type {
  CommandResult,
  LogPosition,
  ResultDigest,
  SqlStatement,
  StoredConfiguration,
  StoreEntry,
} from "./types.ts";
import type { Answer, Question } from "./worker-protocol.ts";
import type { DataTraits } from "./write-bound.ts";

/** For a rehearsal whose caller has none: what is drawn does not matter, only that it is drawn as for an entry. */
const SOME_SEED = new Uint8Array(16);

export interface SqliteStoreOptions {
  /** Exists, and is this process's alone: the caller holds its lock. */
  readonly directory: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** The worker's entry; by default `store-worker` beside this module, with this module's extension. */
  readonly workerUrl?: URL;
  /** The same directory as snapshots go through it; by default as it is. */
  readonly files?: Directory;
  /** Called when the open store fails, which is for good: whoever asks it then is told so, too. */
  readonly onFailed?: ((error: TrivetError) => void) | undefined;
}

/**
 * Opens `app.db` and `state.db` in the directory, or creates them, after an installation that a crash has cut is brought
 * to its end. Rejects with `store-failed`, or with `store-damaged` if the files are not sound databases.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { directory, logger, clock, workerUrl = defaultWorkerUrl(), onFailed = ignore } = options;
  const { files, pendingInstall } = await prepare(options);
  let source: SnapshotSource | undefined;
  const onPinOutgrown = () => source?.end("too much was written while it was open");
  const worker = await openStoreWorker({
    ...{ directory, logger, clock, workerUrl, onPinOutgrown, onFailed },
  });
  const reportDamage = (found: string) => worker.onDamage(found);
  source = new SnapshotSource({ directory: files, pin: worker, clock, reportDamage });
  return new SqliteStore({
    worker,
    files,
    logger,
    source,
    scrubber: new Scrubber({ clock, scrub: (name, page) => worker.scrub(name, page) }),
    check: createFileChecker(workerUrl, clock),
    pendingInstall,
  });
}

/** What goes before the databases are opened. */
async function prepare({ directory, files }: SqliteStoreOptions): Promise<{
  readonly files: Directory;
  readonly pendingInstall: LogPosition | null;
}> {
  try {
    // Not made here: an empty one in the place of a disk that is not mounted would pass for a new node's.
    await access(directory);
    const opened = files ?? (await NodeDirectory.open(directory));
    return { files: opened, pendingInstall: await recoverInstall(opened) };
  } catch (error) {
    if (error instanceof TrivetError) throw error;
    throw storeFailed("store-failed", `unable to open ${directory}: ${messageOf(error)}`);
  }
}

/** Nobody is to hear of it. */
const ignore = (): void => undefined;

function defaultWorkerUrl(): URL {
  return new URL(`./store-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
}

/** The state machine on SQLite: what a caller may ask, within its bounds. The work is done by the worker. */
class SqliteStore implements Store {
  readonly objects: ObjectReads;
  readonly #worker: StoreWorkerProxy;
  readonly #logger: Logger;
  readonly #source: SnapshotSource;
  readonly #scrubber: Scrubber;
  readonly #installer: SnapshotInstaller;
  /** Index of the last entry that was taken. */
  #lastTaken: number;
  #waitingEntries = 0;
  #waitingBytes = 0;
  #queries = 0;
  #closed: Promise<void> | undefined;

  constructor(parts: {
    readonly worker: StoreWorkerProxy;
    readonly files: Directory;
    readonly logger: Logger;
    readonly source: SnapshotSource;
    readonly scrubber: Scrubber;
    readonly check: FileChecker;
    readonly pendingInstall: LogPosition | null;
  }) {
    const { worker, files, logger, source, scrubber, check, pendingInstall } = parts;
    this.#worker = worker;
    this.#logger = logger;
    this.#source = source;
    this.#scrubber = scrubber;
    this.#installer = new SnapshotInstaller({
      directory: files,
      check,
      pendingInstall,
      replaceFiles: (swap) => this.#replaceFiles(swap),
    });
    this.objects = createObjectReads((question, timeoutMs) => this.#ask(question, timeoutMs));
    this.#lastTaken = worker.view.applied.index;
  }

  get applied(): LogPosition {
    return this.#worker.view.applied;
  }

  get newest(): LogPosition {
    return this.#worker.view.newest;
  }

  get hiddenWork(): HiddenWork {
    return this.#worker.view.hiddenWork;
  }

  get data(): DataTraits {
    return this.#worker.view.data;
  }

  get configuration(): StoredConfiguration | null {
    return this.#worker.view.configuration;
  }

  get lastTimeMs(): number {
    return this.#worker.view.lastTimeMs;
  }

  get digest(): ResultDigest {
    return this.#worker.view.digest;
  }

  get silentMs(): number {
    return this.#worker.silentMs;
  }

  get toleratedDamage(): string | null {
    return this.#worker.toleratedDamage;
  }

  onObjectEvents(listener: ObjectEventListener): () => void {
    return this.#worker.view.onObjectEvents(listener);
  }

  async apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]> {
    this.#requireOpen();
    const bytes = entryBytes(entries);
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

  async query(plan: QueryPlan, options: { readonly timeoutMs: number }): Promise<CommandResult> {
    this.#requireOpen();
    if (plan.asked.length === 0) return plan.complete([]);
    const answer = await this.#ask({ kind: "query", statements: plan.asked }, options.timeoutMs);
    invariant(answer.kind === "query", "a query is answered as one");
    return plan.complete(answer.results);
  }

  async rehearse(statements: readonly SqlStatement[], options: RehearsalOptions): Promise<Rehearsed> {
    this.#requireOpen();
    const { session = null, transaction, timeoutMs, timeMs, seed = SOME_SEED, othersWait } = options;
    const { bytesMax = WRITTEN_BYTES_MAX } = options;
    if (statements.length === 0 && session === null) return "tried-out";
    const command = { kind: "sql", timeMs, session, seed, transaction, statements } as const;
    const answer = await this.#ask({ kind: "rehearse", command, bytesMax }, timeoutMs, othersWait);
    invariant(answer.kind === "rehearse", "a rehearsal is answered as one");
    return answer.rehearsed;
  }

  async checkpoint(): Promise<LogPosition> {
    this.#requireOpen();
    return this.#worker.checkpoint();
  }

  async openSnapshot(onProgress: () => void = ignore): Promise<StoreSnapshot> {
    this.#requireOpen();
    return await this.#source.open(onProgress);
  }

  async receiveSnapshot(manifest: SnapshotManifest): Promise<SnapshotReceiver> {
    this.#requireOpen();
    return await this.#installer.receive(manifest);
  }

  get pendingInstall(): LogPosition | null {
    return this.#installer.pendingInstall;
  }

  async finishInstall(): Promise<void> {
    this.#requireOpen();
    await this.#installer.finishInstall();
  }

  close(): Promise<void> {
    this.#source.end("the store was closed");
    this.#scrubber.stop();
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const received = this.#installer.close().catch((error: unknown) => {
      const message = "what was received of a snapshot could not be removed: the next start does it";
      this.#logger.log("warn", message, { reason: messageOf(error) });
    });
    await Promise.all([received, this.#worker.close()]);
  }

  async #replaceFiles(swap: () => Promise<void>): Promise<void> {
    this.#requireOpen();
    this.#source.end("this node got a snapshot itself");
    this.#lastTaken = await this.#worker.replaceFiles(swap);
  }

  async #ask(question: Question, timeoutMs: number, othersWait?: AbortSignal): Promise<Answer> {
    this.#requireOpen();
    if (this.#queries >= QUERIES_MAX) {
      throw new TrivetError("store-busy", `${QUERIES_MAX} queries wait already. Try again later.`);
    }
    this.#queries += 1;
    try {
      return await this.#worker.ask(question, timeoutMs, othersWait);
    } finally {
      this.#queries -= 1;
    }
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
