import { existsSync, rmdirSync, statSync } from "node:fs";
import { invariant } from "../platform/invariant.ts";
import { isCheckedAtOpen, requireSound } from "./database-check.ts";
import { DigestChain } from "./digest-chain.ts";
import type { EngineInternals } from "./engine-internals.ts";
import { COUNT_OPEN, wasOpenedByOlderVersion } from "./foreign-writer.ts";
import { PAGE_BYTES, PINNED_WAL_FRAMES_MIN, WAL_FRAMES_MAX } from "./limits.ts";
import { PageGuard } from "./page-guard.ts";
import type { PreparedStatement } from "./prepared-statement.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import type { SqliteWasm } from "./sqlite-wasm.ts";
import { StatementCache } from "./statement-cache.ts";
import type { LogPosition, SqlValue } from "./types.ts";

/** Kept in the reserved table of every file, so that each is complete in itself. */
const META_SCHEMA =
  "CREATE TABLE IF NOT EXISTS _trivet_meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID";

/** Must come before the first access, or WAL stays off without a word. */
const EXCLUSIVE = "PRAGMA locking_mode = EXCLUSIVE";
const WAL_MODE = "PRAGMA journal_mode = WAL";

/**
 * NORMAL: a commit is not synced, because the Raft log can repeat it; a checkpoint syncs the write-ahead log before and
 * the file after it has copied (SQLite's documentation of PRAGMA synchronous). Checkpoints are ours alone, because
 * SQLite's automatic ones keep their errors to themselves. The write at the end begins the write-ahead log, whose first frame alone draws 8 bytes
 * from SQLite's random generator: no entry may be suspected of it (see `EngineInternals`).
 */
const SETUP = [
  "PRAGMA synchronous = NORMAL",
  "PRAGMA wal_autocheckpoint = 0",
  "PRAGMA journal_size_limit = 8388608",
  "PRAGMA temp_store = MEMORY",
  "PRAGMA foreign_keys = ON",
  META_SCHEMA,
  // All rows that there ever are, from the start: ANALYZE counts them, and must find the same number on every node.
  "INSERT INTO _trivet_meta VALUES ('applied_index', 0), ('applied_term', 0), ('digest', zeroblob(32)), ('last_time_ms', 0) ON CONFLICT DO NOTHING",
] as const;

/**
 * One of the two databases: its connection, and the one SQLite transaction that holds all entries since the last
 * commit. The position and the running hash of the results are written in that transaction.
 */
export class DatabaseFile {
  readonly connection: SqliteConnection;
  readonly #path: string;
  readonly statements: StatementCache;
  /** Watches what is in the file itself. */
  readonly pages: PageGuard;
  /** As of the last entry that was applied to the file; the transaction saves it when it ends. */
  readonly digest: DigestChain;
  /** The last entry in the file's committed transactions. */
  get committed(): LogPosition {
    return this.#committed;
  }
  #committed: LogPosition;
  /** Of the newest command in the file's committed transactions. */
  get committedTimeMs(): number {
    return this.#committedTimeMs;
  }
  #committedTimeMs: number;
  /** While it is pinned: how many frames its write-ahead log may get. */
  #pinnedFramesMax: number | null = null;

  /**
   * Opens or creates the file. The caller holds the lock of the data directory: a lock left by a process that was
   * killed (the build's lock is a directory) is taken away. `schema` creates what is missing of the reserved tables.
   */
  constructor(
    wasm: SqliteWasm,
    internals: EngineInternals,
    file: {
      readonly path: string;
      readonly cacheKib: number;
      readonly schema: readonly string[];
      readonly mayBeDamaged: boolean;
    },
  ) {
    this.#path = file.path;
    const lock = `${file.path}.lock`;
    if (existsSync(lock)) rmdirSync(lock);
    this.pages = new PageGuard(file.path);
    this.connection = new SqliteConnection(wasm, file.path);
    internals.setLimits(this.connection);
    this.connection.run(EXCLUSIVE);
    if (wasOpenedByOlderVersion(this.connection)) this.pages.forget("an older version");
    const { isInformed } = this.pages;
    if (file.mayBeDamaged && isCheckedAtOpen(file.path, isInformed)) requireSound(this.connection);
    this.connection.run(WAL_MODE);
    this.pages.enter();
    for (const sql of [...SETUP, ...file.schema, COUNT_OPEN]) this.connection.run(sql);
    this.connection.run(`PRAGMA cache_size = ${-file.cacheKib}`);
    invariant(this.connection.readValue("PRAGMA journal_mode") === "wal", `${file.path} is not in WAL mode`);
    invariant(this.connection.readValue("PRAGMA page_size") === PAGE_BYTES, `${file.path} has other pages`);
    this.statements = new StatementCache(this.connection, internals);
    if (this.pages.isCut) this.checkpoint();
    this.#committed = {
      index: Number(this.readMeta("applied_index")),
      term: Number(this.readMeta("applied_term")),
    };
    this.#committedTimeMs = Number(this.readMeta("last_time_ms"));
    const hash = this.readMeta("digest");
    invariant(hash instanceof Uint8Array, "the running hash is missing");
    this.digest = new DigestChain(hash);
  }

  /** With what is not checkpointed, or not even committed yet. */
  get bytes(): number {
    return this.#pages() * PAGE_BYTES;
  }

  /** Begins a transaction if none is open. */
  begin(): void {
    if (!this.connection.inTransaction) this.run("BEGIN IMMEDIATE");
  }

  /** Commits everything up to `position` together with it, and the time of its newest command. Not durable before a checkpoint. */
  commit(position: LogPosition, lastTimeMs: number): void {
    invariant(position.index > this.#committed.index, "a commit moves the position forward");
    this.begin();
    this.run(
      "INSERT OR REPLACE INTO _trivet_meta VALUES ('applied_index', ?), ('applied_term', ?), ('digest', ?), ('last_time_ms', ?)",
      [position.index, position.term, this.digest.hash, lastTimeMs],
    );
    this.run("COMMIT");
    this.#committed = position;
    this.#committedTimeMs = lastTimeMs;
    if (!this.isPinned && this.#walFrames() > WAL_FRAMES_MAX) this.checkpoint();
  }

  /** From now on no checkpoint changes the file. */
  pin(): void {
    // A large file takes long to be read, and whoever has room for it has room for as much again.
    this.#pinnedFramesMax = Math.max(PINNED_WAL_FRAMES_MIN, this.#pages());
  }

  unpin(): void {
    this.#pinnedFramesMax = null;
  }

  get isPinned(): boolean {
    return this.#pinnedFramesMax !== null;
  }

  /** True if the write-ahead log has become too long to let the file wait for its next checkpoint. */
  get hasOutgrownPin(): boolean {
    return this.#pinnedFramesMax !== null && this.#walFrames() > this.#pinnedFramesMax;
  }

  /**
   * Moves what is committed from the write-ahead log into the file, durably. No transaction may be open.
   */
  checkpoint(): void {
    invariant(!this.isPinned, "the file is pinned: a checkpoint would change it");
    const frames = this.#walFrames();
    if (frames > 0) this.pages.prepare(frames);
    const checkpoint = this.connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
    try {
      invariant(checkpoint?.step() === true, "a checkpoint answers with a row");
      invariant(checkpoint.readColumn(0) === 0, "a checkpoint is blocked although there is one connection");
    } finally {
      checkpoint?.finalize();
    }
    this.pages.finish();
  }

  /**
   * A transaction that was given up has left its pages in the write-ahead log, which takes their room until the next checkpoint: this is
   * one if that is too much. No transaction may be open.
   */
  maybeShrinkLog(): void {
    if (this.isPinned) return;
    const log = statSync(`${this.#path}-wal`, { throwIfNoEntry: false });
    if (log !== undefined && log.size > 2 * WAL_FRAMES_MAX * PAGE_BYTES) this.checkpoint();
  }

  /** Commits nothing: what is open is undone, as after a crash. */
  close(): void {
    try {
      const isInFile = !this.connection.inTransaction && this.#walFrames() === 0;
      if (isInFile) this.pages.leave();
    } finally {
      this.statements.clear();
      this.connection.close();
    }
  }

  /** One of our own statements, whose rows do not matter. */
  run(sql: string, parameters: readonly SqlValue[] = []): void {
    this.statements.use(sql, (statement) => {
      statement?.prepared.bind(parameters);
      statement?.prepared.runToEnd();
    });
  }

  /** One of our own queries: row by row, until `onRow` answers false. */
  read(sql: string, parameters: readonly SqlValue[], onRow: (row: PreparedStatement) => boolean): void {
    this.statements.use(sql, (statement) => {
      statement?.prepared.bind(parameters);
      while (statement?.prepared.step() === true && onRow(statement.prepared));
    });
  }

  /** A value that the file keeps beside its data; undefined if there is none. */
  readMeta(key: string): SqlValue | undefined {
    let value: SqlValue | undefined;
    this.read("SELECT value FROM _trivet_meta WHERE key = ?", [key], (row) => {
      value = row.readColumn(0);
      return false;
    });
    return value;
  }

  /** In the open transaction. In the user's file every key is there from the start: ANALYZE counts them. */
  writeMeta(key: string, value: SqlValue): void {
    this.run("INSERT OR REPLACE INTO _trivet_meta VALUES (?, ?)", [key, value]);
  }

  #walFrames(): number {
    return this.#pragma("PRAGMA wal_checkpoint(NOOP)", 1);
  }

  #pages(): number {
    return this.#pragma("PRAGMA page_count", 0);
  }

  #pragma(sql: string, column: number): number {
    return this.statements.use(sql, (statement) => {
      if (statement?.prepared.step() !== true) return 0;
      return Number(statement.prepared.readColumn(column));
    });
  }
}
