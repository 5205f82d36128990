import { APPLY_PATIENCE_MS, WRITTEN_BYTES_MAX } from "../store/limits.ts";
import type { Store } from "../store/store.ts";
import type { LogPosition } from "../store/types.ts";
import { mayWriteMuch } from "../store/write-bound.ts";
import type { CommandDraft } from "./command-draft.ts";
import type { Consensus } from "./consensus.ts";

/** What a write may take on the leader when it is tried out; on a slower node it takes longer, but it ends. */
export const REHEARSAL_MS = 5_000;
/**
 * The same for an index over a large table and the like, which cannot be done in pieces: as long as its client waits for it, and so long
 * do the others.
 */
export const WHOLE_REHEARSAL_MS = 60_000;

export type SqlDraft = Extract<CommandDraft, { kind: "sql" }>;

/** Of a write that is tried out. */
export interface RehearsalLimits {
  readonly timeoutMs: number;
  /** How long others wait for it. */
  readonly patienceMs: number;
  /** What it may write. */
  readonly bytesMax: number;
}

export interface RehearsalRulesOptions {
  readonly consensus: { readonly raft: Pick<Consensus["raft"], "term" | "lastIndex"> };
  readonly store: Pick<Store, "data" | "hiddenWork">;
  readonly appliedIndex: () => number;
}

/** Which writes the leader tries out before they enter the log, since they may take for ever, and how far they may go then. */
export class RehearsalRules {
  readonly #options: RehearsalRulesOptions;
  /** Until this one is applied, the store cannot say what a plain write may run besides. */
  #lastOfSchema: LogPosition = { index: 0, term: 0 };

  constructor(options: RehearsalRulesOptions) {
    this.#options = options;
  }

  /** As far as is known now: once more is applied, it may be plain after all. */
  mustBeTried(draft: SqlDraft): boolean {
    const { isBounded, writes } = draft.traits;
    return !isBounded || mayWriteMuch(writes, this.#options.store.data) || this.#mayHaveHiddenWork(draft);
  }

  limitsOf(draft: SqlDraft): RehearsalLimits {
    const { isBounded, mayChangeSchema } = draft.traits;
    const isWhole = isBounded && mayChangeSchema && !this.#hasHiddenWork(draft);
    if (!isWhole)
      return { timeoutMs: REHEARSAL_MS, patienceMs: APPLY_PATIENCE_MS, bytesMax: WRITTEN_BYTES_MAX };
    // Who has the file has room for it once more: a copy from another node takes as much.
    const bytesMax = Math.max(WRITTEN_BYTES_MAX, this.#options.store.data.bytes);
    return { timeoutMs: WHOLE_REHEARSAL_MS, patienceMs: WHOLE_REHEARSAL_MS, bytesMax };
  }

  /** To be called for each write that has entered the log. */
  entered({ traits }: SqlDraft, position: LogPosition): void {
    if (traits.mayChangeSchema) this.#lastOfSchema = position;
  }

  #mayHaveHiddenWork(draft: SqlDraft): boolean {
    const { consensus, appliedIndex } = this.#options;
    const { term, lastIndex } = consensus.raft;
    // What the leaders before this one have put into the log may change the schema, too.
    if (this.#lastOfSchema.term !== term) this.#lastOfSchema = { index: lastIndex, term };
    return appliedIndex() < this.#lastOfSchema.index || this.#hasHiddenWork(draft);
  }

  #hasHiddenWork({ traits }: SqlDraft): boolean {
    const { hiddenWork } = this.#options.store;
    return hiddenWork === "of-any-write" || (hiddenWork === "of-removals" && traits.mayRemove);
  }
}
