/** Every bound of the store in one place. Sizes in bytes, times in milliseconds. */

/** Statements in one command or query request. */
export const STATEMENTS_MAX = 4096;
/** SQL text and parameters of one command or query request together. */
export const REQUEST_BYTES_MAX = 2 * 1024 * 1024;

/**
 * Tokens (words, values, signs) in the SQL of one request. They are what a check costs, on the main thread, where a heartbeat waits
 * behind it: 10 to 30 ms at the limit on a PC (`npm run bench:check`). Rows of values with as many take 3/4 of a megabyte.
 */
export const TOKENS_MAX = 256 * 1024;

/** Writes of objects in one command. */
export const OBJECT_WRITES_MAX = 128;
/** Of each of the three parts of an object's key, and of the body of one object. */
export const OBJECT_NAME_BYTES_MAX = 256;
export const OBJECT_BODY_BYTES_MAX = 1024 * 1024;

/**
 * Client sessions in one file. One more takes the place of the least recently used. These and the two below decide results,
 * so they are the same on all nodes for ever.
 */
export const SESSIONS_MAX = 4096;
/** From the last use of a session, in the time of the log: a box that was cut off for a day can still repeat itself. */
export const SESSION_TTL_MS = 24 * 3_600_000;
/** A session's last answer beyond this is not kept. */
export const SESSION_ANSWER_BYTES_MAX = 4096;

/** Changes of objects that can be read again; beyond either of these the oldest go. They decide what is kept on all nodes. */
export const HISTORY_EVENTS_MAX = 10_000;
export const HISTORY_BYTES_MAX = 16 * 1024 * 1024;
/** Objects or events in one answer. */
export const OBJECTS_READ_MAX = 10_000;
/** What an event is taken to weigh besides its body, where its names are not looked at. */
export const EVENT_BYTES = 256;
/** Bytes of bodies in one list: more than one body may have. */
export const OBJECTS_READ_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The longest text, blob or row. SQLite's own limit is 1 GB, which a small box does not have: one statement
 * could then end every replica. The same on all nodes for ever: it decides results.
 */
export const VALUE_BYTES_MAX = 16 * 1024 * 1024;
/** What the results of one request may take together. */
export interface ResultLimits {
  readonly rows: number;
  readonly bytes: number;
}

/** Of a query. */
export const QUERY_RESULT_LIMITS: ResultLimits = { rows: 100_000, bytes: 8 * 1024 * 1024 };
/** Of a command: many are answered at once. The same on all nodes for ever: it decides results. */
export const COMMAND_RESULT_LIMITS: ResultLimits = { rows: 10_000, bytes: 1024 * 1024 };
/** Results of commands that gather in the worker before they are sent. */
export const RESULT_MESSAGE_BYTES_MAX = 1024 * 1024;

/**
 * SQLite's whole memory while a query or a rehearsal runs: one that sorts or groups too much fails, and not the box. Entries have no
 * such limit, because one box must not fail where another does not.
 */
export const QUERY_MEMORY_MAX = 256 * 1024 * 1024;

/**
 * What one entry may write to the disk when it is tried out, in pages of the user's file: every node needs as much room for its
 * write-ahead log, and memory for the pages as they were. A little more than what is written shows, for some pages are never spilled.
 */
export const WRITTEN_BYTES_MAX = 64 * 1024 * 1024;
/** What may be rewritten again and again by one entry that is not tried out: some seconds of copying in memory. */
export const REWRITTEN_BYTES_MAX = 4 * 1024 * 1024 * 1024;
/** What entries may spill before they are committed together, so that the write-ahead log keeps near `WAL_FRAMES_MAX`. */
export const COMMIT_WRITTEN_BYTES_MAX = 16 * 1024 * 1024;

/** Prepared statements kept, and the length of their texts together. */
export const STATEMENT_CACHE_COUNT_MAX = 256;
export const STATEMENT_CACHE_BYTES_MAX = 1024 * 1024;

/**
 * A SQLite transaction stays open over many entries, because the Raft log is what makes them durable: each page
 * is then written once for many entries. It is committed when one of these is reached. They also bound what is
 * kept for a new worker and what is applied again after a crash.
 */
export const COMMIT_ENTRIES_MAX = 4096;
export const COMMIT_BYTES_MAX = 1024 * 1024;
export const COMMIT_DELAY_MS = 1000;

/** Of SQLite's files: this build makes them so. */
export const PAGE_BYTES = 4096;
/** Frames in a write-ahead log after which a commit is followed by a checkpoint: 4 MiB of 4 KiB pages. */
export const WAL_FRAMES_MAX = 1024;
/** The same while a snapshot is read, when checkpoints wait: 64 MiB, or as much as the file has. Then the snapshot is ended. */
export const PINNED_WAL_FRAMES_MIN = 16_384;

/** A database up to here is checked as a whole when the last process was cut off: under a second on a fast box. */
export const CHECKED_AT_OPEN_BYTES_MAX = 64 * 1024 * 1024;
/** For the check of a snapshot that was received, whatever its size: it only waits for the disk. */
export const SNAPSHOT_CHECK_TIMEOUT_MS = 10 * 60_000;
/** From the moment a snapshot is to take the place of the databases until the thread that has them open is ended anyway. */
export const REPLACE_PATIENCE_MS = 5_000;

/**
 * Databases are looked through for pages that have changed by themselves: from a moment after the start as fast as this allows, 2.5 MiB
 * a second, which a slow card gives on the side; and from then on all of it once in a period. A slice, of 256 KiB, holds up others.
 */
export const SCRUB_SLICE_PAGES = 64;
export const SCRUB_DELAY_MS = 5_000;
export const SCRUB_PAUSE_MS = 100;
export const SCRUB_PERIOD_MS = 24 * 3_600_000;
/** What is found of damage is said in the log no more often. */
export const DAMAGE_LOG_MS = 60_000;
/** Databases in which a copy for others met damage are read for that again after so long: until then the answer is known. */
export const SNAPSHOT_REFUSAL_MS = 3_600_000;

/** Entries and command bytes in one message to the worker. */
export const SLICE_ENTRIES_MAX = 256;
export const SLICE_BYTES_MAX = 1024 * 1024;
/** Messages sent to the worker and not answered: enough to keep it busy. */
export const JOBS_IN_FLIGHT_MAX = 16;

/** Of answers that the main thread has not taken yet. While there are more, the worker begins no other question. */
export const UNTAKEN_BYTES_MAX = 1024 * 1024;

/** Queries and rehearsals waiting or running; one more is refused with `store-busy`. */
export const QUERIES_MAX = 1024;
/** Entries and command bytes waiting to be applied; more is refused with `store-busy`. */
export const APPLY_ENTRIES_MAX = 65_536;
export const APPLY_BYTES_MAX = 64 * 1024 * 1024;

/** A worker that ends by itself is started again this often in this time; then the store has failed. */
export const WORKER_RESTARTS_MAX = 3;
export const WORKER_RESTARTS_WINDOW_MS = 10 * 60_000;
/**
 * SQLite's memory only grows: what a large sort took, an idle worker keeps. Beyond this (it takes about 25 MiB for small
 * statements) an idle one makes room for a new one, but not again and again.
 */
export const WORKER_MEMORY_MAX = 64 * 1024 * 1024;
export const WORKER_RENEWALS_WINDOW_MS = 60_000;
/** A full disk is tried again this often. */
export const ROOM_RETRY_MS = 1_000;
/** From the start of a worker until it has opened both files (WAL recovery included). */
export const WORKER_START_TIMEOUT_MS = 60_000;
/** From `close` until what waits is done; then the worker is ended, and the Raft log repeats what it had not committed. */
export const CLOSE_TIMEOUT_MS = 5_000;
/**
 * How long entries wait behind a query or a rehearsal that runs: writes are acknowledged when they are applied, so that one slow
 * reader would hold up everyone's. Then it is ended, and they go first.
 */
export const APPLY_PATIENCE_MS = 1_000;
