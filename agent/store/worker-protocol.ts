import type { ObjectAnswer, ObjectQuestion } from "./object-question.ts";
import type { ObjectEvent } from "./objects.ts";
import type { PackedEntries } from "./packed-entries.ts";
import type { PageFinding, ScrubbedSlice } from "./page-guard.ts";
import type { PinnedState } from "./shared-snapshot.ts";
import type { SnapshotFileName } from "./snapshot.ts";
import type { HiddenWork, Rehearsed } from "./store.ts";
import type {
  CommandResult,
  LogPosition,
  ResultDigest,
  SqlCommand,
  SqlStatement,
  StatementResult,
  StoredConfiguration,
} from "./types.ts";
import type { DataTraits } from "./write-bound.ts";

/** What is asked of the database and leaves nothing in it, so that it may be cut and forgotten. */
export type Question =
  | ObjectQuestion
  | { readonly kind: "query"; readonly statements: readonly SqlStatement[] }
  /** Carried out as an entry would be, and undone. */
  | { readonly kind: "rehearse"; readonly command: SqlCommand; readonly bytesMax: number };

/** Its `kind` is that of the question. */
export type Answer =
  | ObjectAnswer
  | { readonly kind: "query"; readonly results: CommandResult }
  | { readonly kind: "rehearse"; readonly rehearsed: Rehearsed };

/** What the store says of itself, as of the last entry of the report that brings it. */
export interface StoreState {
  /** See `Store.newest`. */
  readonly newest: LogPosition;
  readonly hiddenWork: HiddenWork;
  /** Of the user's file: see `DataTraits`. */
  readonly dataBytes: number;
  /** See `DataTraits`; null: as in the report before. */
  readonly tables: DataTraits["tables"] | null;
  readonly lastTimeMs: number;
  readonly digest: ResultDigest;
  readonly configuration: StoredConfiguration | null;
}

/**
 * What the store's proxy (main thread) and its worker say to each other. Jobs have consecutive numbers from 1, are
 * done in order, and are answered by their number.
 */
export type WorkerRequest =
  | { readonly kind: "apply"; readonly job: number; readonly entries: PackedEntries }
  | (Question & { readonly job: number })
  | { readonly kind: "checkpoint"; readonly job: number }
  /** A checkpoint, after which the files do not change until `unpin`. */
  | { readonly kind: "pin"; readonly job: number }
  | { readonly kind: "unpin"; readonly job: number }
  /** Looks at some pages of a file: see `PageGuard.scrub`. */
  | { readonly kind: "scrub"; readonly job: number; readonly name: SnapshotFileName; readonly page: number }
  | { readonly kind: "close"; readonly job: number };

export type WorkerReport =
  /** Both files are open; `applied` stands in both. */
  | { readonly kind: "opened"; readonly applied: LogPosition; readonly state: StoreState }
  /** The next entries of the job; a job may have several of these. They go out before a commit that has them. */
  | {
      readonly kind: "applied";
      readonly job: number;
      readonly results: readonly CommandResult[];
      readonly events: readonly ObjectEvent[];
      readonly state: StoreState;
    }
  /** `bytes` are those of the answer, until the proxy has taken it: see `WorkerControl`. */
  | { readonly kind: "answered"; readonly job: number; readonly answer: Answer; readonly bytes: number }
  /** The question was not carried out: it asked for too much, or was cancelled. */
  | { readonly kind: "declined"; readonly job: number; readonly code: string; readonly message: string }
  /** Both files have committed everything up to `index`: it need not be kept for a new worker. */
  | { readonly kind: "committed"; readonly index: number }
  | { readonly kind: "checkpointed"; readonly job: number; readonly position: LogPosition }
  | { readonly kind: "pinned"; readonly job: number; readonly state: PinnedState }
  | { readonly kind: "unpinned"; readonly job: number }
  /** So much was written since the files are pinned that they should not be for much longer. */
  | { readonly kind: "pin-outgrown" }
  | { readonly kind: "scrubbed"; readonly job: number; readonly slice: ScrubbedSlice }
  /** In what was asked last, or by a commit. */
  | { readonly kind: "found"; readonly findings: readonly PageFinding[] }
  | { readonly kind: "closed"; readonly job: number }
  /** Its memory is far more than it needs, and nothing is uncommitted: another worker would have less. Once. */
  | { readonly kind: "bloated"; readonly memoryBytes: number }
  /** A question ended SQLite's transaction or broke it: start another worker, without this question. */
  | { readonly kind: "broken-by-question"; readonly job: number; readonly message: string }
  /** The same, because it wrote more than it may. */
  | { readonly kind: "wrote-too-much"; readonly job: number; readonly bytesMax: number }
  /** A statement ended SQLite's transaction, with a certain answer: start another worker that knows it. */
  | { readonly kind: "transaction-lost"; readonly foregone: ForegoneResult }
  /** The environment failed. Nothing more is done by this worker. */
  | { readonly kind: "failed"; readonly message: string; readonly cause: FailureCause };

/** `damage`: a file is no sound database. `full`: the disk has no room, so that another worker may do better later. */
export type FailureCause = "damage" | "full" | "other";

/** The answer of the statement at position `statement` in entry `index`, known without carrying it out. */
export interface ForegoneResult {
  readonly index: number;
  readonly statement: number;
  readonly result: StatementResult;
}

export interface WorkerOptions {
  readonly kind: "serve";
  /** Where `app.db` and `state.db` are. */
  readonly directory: string;
  /** True for the first one of a process: whoever wrote the files last may have been cut off in the middle. */
  readonly isFirst: boolean;
  /** The files are pinned: an earlier worker has done the checkpoint, which made this durable. */
  readonly pinnedAt: LogPosition | null;
  readonly foregone: readonly ForegoneResult[];
  readonly control: SharedArrayBuffer;
}
