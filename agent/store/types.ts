/** What goes into the replicated state machine and what comes out of it. Plain data. */

/** A value as SQLite stores it. Integers beyond 2^53 are BigInt. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** By position (`?`) or by name without its prefix (`:a`, `@a` and `$a` are all `a`). */
export type SqlParameters = readonly SqlValue[] | Readonly<Record<string, SqlValue>>;

export interface SqlStatement {
  readonly sql: string;
  readonly parameters: SqlParameters;
}

/**
 * Makes a command of a client happen once, however often it is sent: the first command of a session with this sequence
 * is carried out, and its repetitions get the same answer. Sequences of a session grow, with gaps or without, from 1.
 */
export interface SessionGuard {
  /** As `open-session` answered it. */
  readonly id: number;
  readonly sequence: number;
}

/** The user's SQL, with the inputs that make it give the same result on every node. */
export interface SqlCommand {
  readonly kind: "sql";
  /** The proposing leader's wall clock, milliseconds since 1970; never goes back within one log. */
  readonly timeMs: number;
  readonly session: SessionGuard | null;
  /** 16 bytes: random() and randomblob() are drawn from them. */
  readonly seed: Uint8Array;
  /** All or nothing; otherwise each statement stands for itself. */
  readonly transaction: boolean;
  readonly statements: readonly SqlStatement[];
}

/** Begins a client session. Its id is the index of the entry. */
export interface OpenSessionCommand {
  readonly kind: "open-session";
  /** As in `SqlCommand`. */
  readonly timeMs: number;
}

/** Writes cluster objects: all or none. */
export interface ObjectsCommand {
  readonly kind: "objects";
  /** As in `SqlCommand`. */
  readonly timeMs: number;
  readonly session: SessionGuard | null;
  /** `checkObjectWrites` says what may become part of the log. */
  readonly writes: readonly ObjectWrite[];
}

/** One Raft command. */
export type Command = SqlCommand | OpenSessionCommand | ObjectsCommand;

export interface ObjectKey {
  readonly kind: string;
  /** May be empty. */
  readonly namespace: string;
  readonly name: string;
}

/**
 * `revision` is a precondition, on the state before the command: null for none, 0 if there must be no such object, else
 * the object's current revision.
 */
export type ObjectWrite =
  | {
      readonly kind: "put";
      readonly key: ObjectKey;
      readonly body: Uint8Array;
      readonly revision: number | null;
    }
  | { readonly kind: "delete"; readonly key: ObjectKey; readonly revision: number | null }
  /** Nothing but the precondition. */
  | { readonly kind: "require"; readonly key: ObjectKey; readonly revision: number }
  /** Drops the history up to `revision`, itself included. Objects stay. */
  | { readonly kind: "compact"; readonly revision: number };

export interface StoredObject extends ObjectKey {
  /** Of this object alone, for ever: another one of the same name has another. */
  readonly uid: string;
  /** Log index of its last change. */
  readonly revision: number;
  /** Log index of its first. */
  readonly createdRevision: number;
  readonly body: Uint8Array;
}

export interface ObjectEvent {
  /** Log index of the change; those of one command share it. */
  readonly revision: number;
  readonly type: "put" | "delete";
  /** After a `put`. Of a `delete`, the last body, with the revision of the deletion. */
  readonly object: StoredObject;
}

export type StatementResult =
  | {
      readonly kind: "rows";
      readonly columns: readonly string[];
      /** Storage class of the first value of each column that is not NULL: integer, real, text, blob; "" if all are. */
      readonly types: readonly string[];
      readonly values: readonly (readonly SqlValue[])[];
    }
  | { readonly kind: "changed"; readonly lastInsertId: number | bigint; readonly rowsAffected: number }
  /** Of `open-session`. */
  | { readonly kind: "session"; readonly id: number }
  /** Of `objects`: the revision of what it wrote, and the uid of the object of each put, in their order. */
  | { readonly kind: "objects"; readonly revision: number; readonly uids: readonly string[] }
  /**
   * Of objects also `conflict` (a precondition does not hold, nothing is written), of a session `session-expired` (it is
   * not known, or no more), `session-stale` (a later sequence was there before) and `answer-too-large` (it was carried out
   * before, but the answer was not kept). These answer a whole command, whatever its number of statements.
   */
  | { readonly kind: "error"; readonly code: string; readonly message: string };

/** A position in the Raft log. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** A committed entry as the store takes it; `command` is null where only the position moves. */
export interface StoreEntry extends LogPosition {
  readonly command: Uint8Array | null;
  /** The cluster's membership from here on, in an encoding that is the caller's. */
  readonly configuration?: Uint8Array;
}

/**
 * What one command answered, the same on every node: a result per statement, or a single one that answers the whole
 * command (a session's refusal, `session`, `objects`).
 */
export type CommandResult = readonly StatementResult[];

export interface RehearsalOptions {
  /** As of the command. */
  readonly transaction: boolean;
  /** From the call to the end, waiting behind other work included. */
  readonly timeoutMs: number;
  /** As of the command. */
  readonly timeMs: number;
  /** As of the command; some 16 bytes if there is none yet. */
  readonly seed?: Uint8Array;
}

/**
 * The replicated state machine. Entries come in log order without a gap, each once. A rejected promise with
 * code `store-failed` means that the environment failed (disk, memory): nothing after it may be applied, the
 * agent must stop. So does `store-damaged`, and then the files are not sound databases any more.
 */
export interface Store extends ReplicatedState, ObjectStore, SnapshotStore {
  /** The last entry that has been applied. */
  readonly applied: LogPosition;
  /**
   * True if a write may run what its text does not show, so that `isBounded` of its check says nothing: there is a
   * trigger, or a full-text table over another table. As of the last entry that was answered.
   */
  readonly hasHiddenWork: boolean;
  /**
   * Applies in order; resolves with one result per entry: empty where `command` is null, and where the file has the
   * entry already (after a crash). A transaction that failed ends with its first error, the statements after it
   * have no result. Rejects with `store-busy` if too much waits.
   */
  apply(entries: readonly StoreEntry[]): Promise<readonly CommandResult[]>;
  /**
   * Read-only statements on everything applied so far; others get an error result. Rejects with `query-timeout`
   * after `timeoutMs`, with `result-too-large` beyond the row or byte limit, with `too-large` if the request itself
   * is, with `store-busy` if too many queries wait, with `query-failed` if this node cannot carry it out (memory).
   */
  query(statements: readonly SqlStatement[], options: { readonly timeoutMs: number }): Promise<CommandResult>;
  /**
   * Tries a command out on everything applied so far: runs it as `apply` would, with its time and chance, and undoes
   * it. Resolves whatever its results are. An entry in the log is applied by every node and cannot be stopped, so a
   * command whose work is not bounded should have been rehearsed before it is proposed; entries that come between may
   * still make it dearer.
   *
   * Rejects with `too-expensive` if it does not end within `timeoutMs`, with `query-failed` if it takes more memory
   * than a query may have, with `store-busy` if it could not begin in time or too many queries wait, and with the code
   * of `checkStatement` for a statement that may not become part of the log.
   */
  rehearse(statements: readonly SqlStatement[], options: RehearsalOptions): Promise<void>;
  /**
   * Commits what is applied and makes it durable in both files; resolves with the durable position. While a snapshot is
   * open the files wait, and that position is the snapshot's.
   */
  checkpoint(): Promise<LogPosition>;
  /**
   * After all that waits: commits, closes the files. What is not done within `CLOSE_TIMEOUT_MS` is ended and rejected
   * with `store-closed`; the log has its entries. Idempotent. Everything else is then rejected with `store-closed`.
   */
  close(): Promise<void>;
}

/** The running hash of all results up to `index`: equal on all nodes at an equal index, or they have diverged. */
export interface ResultDigest {
  readonly index: number;
  /** SHA-256. */
  readonly hash: Uint8Array;
}

/** The membership that came with the entry at `index`. */
export interface StoredConfiguration {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** A part of `Store`: what it keeps besides the user's data. */
export interface ReplicatedState {
  /** Time of the newest command that was applied, 0 if none was: the next one's may not be before it. */
  readonly lastTimeMs: number;
  /** Of the last entry that had one; null if none had. */
  readonly configuration: StoredConfiguration | null;
  /**
   * As of `applied`. After a crash between the commits of the two files it is that of index 0, which says nothing, until
   * both are level again.
   */
  readonly digest: ResultDigest;
}

/** A part of `Store`: the cluster's objects. */
export interface ObjectStore {
  readonly objects: ObjectReads;
  /**
   * Calls `listener` with the events of entries that were applied together, whole entries in log order, before `apply` answers
   * them. Returns what ends that.
   */
  onObjectEvents(listener: (events: readonly ObjectEvent[]) => void): () => void;
}

export interface ObjectList {
  /** Everything up to this log index is seen, nothing after it. */
  readonly revision: number;
  /** By namespace, then by name, as their UTF-8 bytes compare. */
  readonly objects: readonly StoredObject[];
  /** False if there may be more after the last one. */
  readonly isComplete: boolean;
}

export interface ObjectHistoryPage {
  readonly revision: number;
  /** Oldest first. Events of one revision stay together, so that the last one's revision is where to go on. */
  readonly events: readonly ObjectEvent[];
  /** False if there may be more after the last one. */
  readonly isComplete: boolean;
  /** Events up to it are gone: who asked for events after an earlier revision has missed some. */
  readonly compactedRevision: number;
}

/** Of everything applied so far. All reject with `query-timeout`, `store-busy` or `query-failed` as `Store.query` does. */
export interface ObjectReads {
  get(
    key: ObjectKey,
    options: { readonly timeoutMs: number },
  ): Promise<{ readonly revision: number; readonly object: StoredObject | null }>;
  /** Ends early, with `isComplete` false, where the answer would take too many bytes. */
  list(options: {
    readonly kind: string;
    /** Of all namespaces if left out. */
    readonly namespace?: string;
    /** Only what follows this one, which is in `namespace` if there is one. */
    readonly after?: { readonly namespace: string; readonly name: string };
    readonly limit: number;
    readonly timeoutMs: number;
  }): Promise<ObjectList>;
  /** `limit` as of `list`, but a revision is never cut. */
  history(
    afterRevision: number,
    options: { readonly limit: number; readonly timeoutMs: number },
  ): Promise<ObjectHistoryPage>;
}

export const SNAPSHOT_FILES = ["app.db", "state.db"] as const;
export type SnapshotFileName = (typeof SNAPSHOT_FILES)[number];

/** What a snapshot is: both database files as they were after the entry at `position`. */
export interface SnapshotManifest {
  readonly position: LogPosition;
  readonly configuration: StoredConfiguration | null;
  readonly files: readonly {
    readonly name: SnapshotFileName;
    readonly bytes: number;
    /** Hex. */
    readonly sha256: string;
  }[];
}

/**
 * A snapshot to read from. While one is open checkpoints wait, but not for ever: when the write-ahead logs have become
 * too long, when this node installs a snapshot itself, or at `close`, it ends, and reads reject with `snapshot-gone`.
 */
export interface StoreSnapshot extends SnapshotManifest {
  /** Fewer bytes than `length` only where the file ends. Rejects with `snapshot-failed` if the disk does. */
  read(name: SnapshotFileName, offset: number, length: number): Promise<Uint8Array>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Takes in a snapshot of another node. */
export interface SnapshotReceiver {
  /**
   * In any order, also again; `bytes` must not change until it resolves. Rejects with `snapshot-corrupt` outside of the
   * file, with `snapshot-failed` if the disk refuses (its error is the cause), with `snapshot-gone` after `install`.
   */
  write(name: SnapshotFileName, offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Checks the files, replaces the store's by them durably, and reopens: then `Store.applied` is the snapshot's position,
   * which may be behind what it was. Queries that come meanwhile wait. Entries that wait and are in the snapshot are
   * answered without results, entries that follow it go on, and others are rejected with `store-replaced`.
   *
   * Rejects with `snapshot-corrupt` or `snapshot-failed`, and nothing has changed, or once and for all with
   * `store-failed`: then the next start finds the old state or the new one.
   */
  install(): Promise<void>;
  /** Idempotent; of no effect while it is being installed and after. */
  discard(): Promise<void>;
}

/** Joins `Store`: snapshots out and in. */
export interface SnapshotStore {
  /**
   * Of everything applied so far, or the one that another reader has open already: look at its position. Takes as long as
   * hashing the files does. Rejects with `snapshot-gone` if it ended meanwhile, with `snapshot-failed` if the disk fails.
   */
  openSnapshot(): Promise<StoreSnapshot>;
  /** One at a time: rejects with `store-busy` while another one is being received. Nothing is kept over a restart. */
  receiveSnapshot(manifest: SnapshotManifest): Promise<SnapshotReceiver>;
  /** Position of a snapshot that was installed and that the log may not know of yet: `finishInstall` was not called since. */
  readonly pendingInstall: LogPosition | null;
  /** The log agrees with the snapshot, durably. Idempotent, and of no effect while another one is being installed. */
  finishInstall(): Promise<void>;
}
