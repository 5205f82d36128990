import { join } from "node:path";
import { invariant } from "../platform/invariant.ts";
import { decodeCommand } from "./command.ts";
import { CommandRunner } from "./command-runner.ts";
import { DatabaseFile } from "./database-file.ts";
import { combineChains, EMPTY_CHAIN } from "./digest-chain.ts";
import { findEngineInternals } from "./engine-internals.ts";
import { GuardedFile } from "./guarded-file.ts";
import { COMMIT_BYTES_MAX, COMMIT_ENTRIES_MAX, COMMIT_WRITTEN_BYTES_MAX } from "./limits.ts";
import type { PageFinding, ScrubbedSlice } from "./page-guard.ts";
import { Questions } from "./questions.ts";
import { NOTHING_RAN, type RanCommand } from "./ran-command.ts";
import { readSchemaTraits, type SchemaTraits } from "./schema-traits.ts";
import { SESSION_SCHEMA } from "./session-table.ts";
import type { PinnedState } from "./shared-snapshot.ts";
import { entryBytes } from "./slice-entries.ts";
import type { SnapshotFileName } from "./snapshot.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import { STATE_SCHEMA, StateFile } from "./state-file.ts";
import type { HiddenWork } from "./store.ts";
import type { Command, LogPosition, ResultDigest, StoredConfiguration, StoreEntry } from "./types.ts";
import type { ForegoneResult, WorkerOptions } from "./worker-protocol.ts";
import type { DataTraits } from "./write-bound.ts";

/** Page caches in KiB: the user's data; the cluster's objects, which are few. */
const APP_CACHE_KIB = 4096;
const STATE_CACHE_KIB = 512;

/**
 * The two databases as one state machine. Lives in the worker; every call runs to its end.
 *
 * Entries are applied inside one SQLite transaction per file, which `commit` ends. Each file has its own position and
 * takes no entry twice, so that a crash between the two commits is harmless.
 */
export class StateMachine {
  /** What may be asked between two entries. */
  readonly questions: Questions;
  readonly #wasm: SqliteWasm;
  readonly #app: GuardedFile;
  readonly #state: StateFile;
  readonly #runner: CommandRunner;
  /** Statements whose answer is known, by index of their entry. */
  readonly #foregone = new Map<number, Map<number, ForegoneResult["result"]>>();
  #applied: LogPosition;
  #lastTimeMs: number;
  #schema: SchemaTraits;
  /** Where both files stand, durably, while nothing may change them. */
  #pinnedAt: LogPosition | null = null;
  #uncommittedEntries = 0;
  #uncommittedBytes = 0;
  /** By the time of the last commit. */
  #writtenBefore = 0;

  constructor(
    wasm: SqliteWasm,
    options: Pick<WorkerOptions, "directory" | "foregone" | "isFirst" | "pinnedAt">,
  ) {
    this.#wasm = wasm;
    const internals = findEngineInternals(wasm);
    const open = (name: SnapshotFileName, cacheKib: number, schema: readonly string[]) => {
      const path = join(options.directory, name);
      return new DatabaseFile(wasm, internals, { path, cacheKib, schema, mayBeDamaged: options.isFirst });
    };
    this.#app = new GuardedFile(open("app.db", APP_CACHE_KIB, SESSION_SCHEMA));
    this.#state = new StateFile(open("state.db", STATE_CACHE_KIB, STATE_SCHEMA));
    if (options.pinnedAt !== null) this.#setPin(options.pinnedAt);
    this.#app.file.maybeShrinkLog();
    this.#runner = new CommandRunner(this.#app.file, internals);
    this.questions = new Questions({ wasm, app: this.#app, state: this.#state, runner: this.#runner });
    this.#applied = earlier(this.#app.file.committed, this.#state.file.committed);
    this.#lastTimeMs = Math.max(this.#app.file.committedTimeMs, this.#state.file.committedTimeMs);
    this.#schema = readSchemaTraits(this.#app.file);
    for (const { index, statement, result } of options.foregone) {
      const ofEntry = this.#foregone.get(index) ?? new Map<number, ForegoneResult["result"]>();
      this.#foregone.set(index, ofEntry.set(statement, result));
    }
  }

  /** The last entry applied to both files. */
  get applied(): LogPosition {
    return this.#applied;
  }

  /** See `Store.newest`. */
  get newest(): LogPosition {
    const files = [this.#app.file, this.#state.file];
    return files.map(({ committed }) => committed).reduce(later, this.#applied);
  }

  /** See `Store.lastTimeMs`. */
  get lastTimeMs(): number {
    return this.#lastTimeMs;
  }

  /** See `Store.configuration`. */
  get configuration(): StoredConfiguration | null {
    return this.#state.configuration;
  }

  /** See `Store.digest`. */
  get digest(): ResultDigest {
    const files = [this.#app.file, this.#state.file];
    const { index } = this.#applied;
    const areLevel = files.every(({ committed }) => committed.index <= index);
    const [app = EMPTY_CHAIN, state = EMPTY_CHAIN] = areLevel ? files.map(({ digest }) => digest.hash) : [];
    return { index: areLevel ? index : 0, hash: combineChains(app, state) };
  }

  /** See `Store.hiddenWork`. */
  get hiddenWork(): HiddenWork {
    return this.#schema.hiddenWork;
  }

  /** See `DataTraits`. */
  get dataBytes(): number {
    return this.#app.file.bytes;
  }

  /** See `DataTraits`. Another object once the schema has changed. */
  get tables(): DataTraits["tables"] {
    return this.#schema.tables;
  }

  /** True if commands have been applied and not committed. */
  get hasUncommitted(): boolean {
    return this.#uncommittedBytes > 0;
  }

  /** True if so much has gathered that it should be committed now. */
  get shouldCommit(): boolean {
    return (
      this.#uncommittedEntries >= COMMIT_ENTRIES_MAX ||
      this.#uncommittedBytes >= COMMIT_BYTES_MAX ||
      this.#wasm.writes.bytes - this.#writtenBefore >= COMMIT_WRITTEN_BYTES_MAX ||
      this.#runner.hasChangedSchema
    );
  }

  /**
   * True if `commit` must come before the next entry, if that has a command. What a full-text table keeps in memory until
   * the transaction ends would show: in changes(), and in the tables that it is made of. Nodes end theirs at different
   * entries, but for this.
   */
  get mustCommitFirst(): boolean {
    return this.#schema.hasVirtualTable && this.#runner.hasVirtualTableOpen();
  }

  /**
   * The next entry of the log. Never commits: what was applied is first to be reported, or a new worker would be given it
   * again. Throws if the environment failed, and `TransactionLostError`: then this object is of no use any more.
   */
  apply(entry: StoreEntry): RanCommand {
    invariant(
      entry.index === this.#applied.index + 1,
      `entry ${entry.index} applied after ${this.#applied.index}`,
    );
    const ran = entry.command === null ? NOTHING_RAN : this.#run(entry.index, decodeCommand(entry.command));
    if (entry.configuration !== undefined) {
      this.#state.saveConfiguration(entry.index, entry.configuration);
    }
    if (this.#runner.hasChangedSchema) this.#schema = readSchemaTraits(this.#app.file);
    this.#applied = { index: entry.index, term: entry.term };
    this.#uncommittedEntries += 1;
    this.#uncommittedBytes += entryBytes([entry]);
    return ran;
  }

  /** Ends the SQLite transactions. Not durable before `checkpoint`. */
  commit(): void {
    for (const { file } of [this.#state, this.#app]) {
      if (file.committed.index < this.#applied.index) file.commit(this.#applied, this.#lastTimeMs);
    }
    this.#uncommittedEntries = 0;
    this.#uncommittedBytes = 0;
    this.#writtenBefore = this.#wasm.writes.bytes;
    if (this.#runner.hasChangedSchema) this.#runner.reloadSchema();
  }

  /** Commits, and makes it durable in both files unless they are pinned. The durable position. */
  checkpoint(): LogPosition {
    this.commit();
    if (this.#pinnedAt !== null) return this.#pinnedAt;
    this.#state.file.checkpoint();
    this.#app.file.checkpoint();
    return earlier(this.#app.file.committed, this.#state.file.committed);
  }

  /** A checkpoint, after which the files stay as they are until `unpin`. */
  pin(): PinnedState {
    const position = this.checkpoint();
    this.#setPin(position);
    const sums = { "app.db": this.#app.file.pages.table, "state.db": this.#state.file.pages.table };
    return { position, newest: this.newest, configuration: this.configuration, sums };
  }

  unpin(): void {
    this.#setPin(null);
  }

  /** True if the files should not stay pinned for much longer. */
  get hasOutgrownPin(): boolean {
    return this.#app.file.hasOutgrownPin || this.#state.file.hasOutgrownPin;
  }

  /** See `PageGuard.scrub`. */
  scrub(name: SnapshotFileName, page: number): ScrubbedSlice {
    const { file } = name === "app.db" ? this.#app : this.#state;
    return file.pages.scrub(page);
  }

  /** See `PageGuard.takeFindings`. */
  takeFindings(): readonly PageFinding[] {
    return [this.#app, this.#state].flatMap(({ file }) => file.pages.takeFindings());
  }

  /** Commits and closes the files. */
  close(): void {
    this.unpin();
    this.checkpoint();
    this.#state.file.close();
    this.#app.file.close();
  }

  #setPin(position: LogPosition | null): void {
    this.#pinnedAt = position;
    for (const { file } of [this.#state, this.#app]) {
      if (position === null) file.unpin();
      else file.pin();
    }
  }

  #run(index: number, command: Command): RanCommand {
    this.#lastTimeMs = Math.max(this.#lastTimeMs, command.timeMs);
    switch (command.kind) {
      case "sql":
        if (this.#app.has(index)) return NOTHING_RAN;
        return this.#app.carryOut(index, command, () => ({
          results: this.#runner.run(command, this.#foregone.get(index)),
        }));
      case "open-session": {
        const files = [this.#app, this.#state].filter((file) => !file.has(index));
        return files.reduce((_, file) => file.openSession(index, command.timeMs), NOTHING_RAN);
      }
      case "objects":
        return this.#state.write(index, command);
    }
  }
}

function earlier(a: LogPosition, b: LogPosition): LogPosition {
  return a.index <= b.index ? a : b;
}

function later(a: LogPosition, b: LogPosition): LogPosition {
  return a.index >= b.index ? a : b;
}
