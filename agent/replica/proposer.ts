import type { Random } from "../platform/random.ts";
import type { TrivetError } from "../platform/trivet-error.ts";
import { encodeCommand } from "../store/command.ts";
import { checkStatements } from "../store/sql-check.ts";
import type { Store } from "../store/store.ts";
import type { CommandResult, LogPosition, SqlStatement } from "../store/types.ts";
import { type CommandDraft, completeDraft, isBarrier } from "./command-draft.ts";
import type { Consensus } from "./consensus.ts";
import type { CopyKeeper } from "./copy-keeper.ts";
import type { LogTime } from "./log-time.ts";
import { type Applied, Proposals } from "./proposals.ts";
import { notLeader, outcomeUnknown, overloaded } from "./sql-errors.ts";
import type { Waiters } from "./waiters.ts";

const SEED_BYTES = 16;

/** What a write may take on the leader when it is tried out; on a slower node it takes longer, but it ends. */
const REHEARSAL_MS = 5_000;

/** Commands that wait for their result at once. */
const WAITING_MAX = 4096;

export interface ProposerOptions {
  readonly consensus: Pick<Consensus, "raft" | "propose">;
  readonly copy: Pick<CopyKeeper, "fault">;
  readonly store: Pick<Store, "hasHiddenWork" | "lastTimeMs" | "rehearse">;
  readonly logTime: LogTime;
  readonly waiters: Waiters;
  readonly random: Random;
}

/** Takes commands, if this member leads, from the request to the applied result. */
export class Proposer {
  readonly #options: ProposerOptions;
  readonly #proposals = new Proposals();
  #refusal: () => TrivetError | null = () => null;

  constructor(options: ProposerOptions) {
    this.#options = options;
  }

  /** True while commands wait for their result. */
  get isAnswering(): boolean {
    return this.#proposals.size > 0;
  }

  /** `refusal` says of each write why it cannot be taken now; null if it can. Reads are not asked for. */
  refuseWrites(refusal: () => TrivetError | null): void {
    this.#refusal = refusal;
  }

  /**
   * Replicates and applies a command, if this member leads. What may take for ever is tried out before: an entry that never ends would
   * stop every node, for good. Rejects with `not-leader` (it did not and will not happen), what `Store.rehearse` rejects with,
   * `overloaded`, `stopping` (likewise) or `outcome-unknown`. The caller keeps the deadline.
   */
  async propose(draft: CommandDraft): Promise<Applied> {
    const { consensus, copy, store, logTime, waiters, random } = this.#options;
    waiters.throwIfFailed();
    if (this.#proposals.size >= WAITING_MAX) throw overloaded();
    const { raft } = consensus;
    if (raft.role !== "leader" || copy.fault !== null) throw notLeader();
    const refusal = isBarrier(draft) ? null : this.#refusal();
    if (refusal !== null) throw refusal;
    const seed = random.bytes(SEED_BYTES);
    if (draft.kind === "sql") await this.#rehearse(draft, seed);
    // Not before: while it was tried out others were proposed, and the time in the log never goes back.
    const command = completeDraft(draft, logTime.next(raft, store.lastTimeMs), seed);
    const proposed = consensus.propose(encodeCommand(command));
    if (proposed.kind === "refused") throw proposed.reason === "overloaded" ? overloaded() : notLeader();
    return this.#proposals.wait(proposed.index, proposed.term);
  }

  /** To be called for every entry, in order. */
  applied({ index, term }: LogPosition, result: CommandResult): void {
    this.#proposals.applied(index, term, result);
  }

  /** See `Proposals.restored`. */
  restored(position: LogPosition): void {
    this.#proposals.restored(position);
  }

  /** Nobody will learn what becomes of the commands that wait. */
  stop(): void {
    this.#proposals.fail(outcomeUnknown());
  }

  /** Tries out what may take for ever. */
  async #rehearse(draft: Extract<CommandDraft, { kind: "sql" }>, seed: Uint8Array): Promise<void> {
    const { consensus, store, logTime, waiters } = this.#options;
    const { statements, transaction } = draft;
    if (isBounded(statements) && !store.hasHiddenWork) return;
    const timeMs = logTime.next(consensus.raft, store.lastTimeMs);
    await store.rehearse(statements, { transaction, timeoutMs: REHEARSAL_MS, timeMs, seed });
    waiters.throwIfFailed();
  }
}

function isBounded(statements: readonly SqlStatement[]): boolean {
  const check = checkStatements(statements);
  return check.ok && check.isBounded;
}
