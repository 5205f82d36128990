import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { encodeCommand } from "../store/command.ts";
import { APPLY_PATIENCE_MS } from "../store/limits.ts";
import { NO_TRAITS } from "../store/request-check.ts";
import type { Store } from "../store/store.ts";
import { isStoreEnded } from "../store/store-failure.ts";
import type { CommandResult, LogPosition } from "../store/types.ts";
import { type CommandDraft, completeDraft, isBarrier } from "./command-draft.ts";
import type { Consensus } from "./consensus.ts";
import type { CopyKeeper } from "./copy-keeper.ts";
import type { Deadline } from "./deadline.ts";
import type { LogTime } from "./log-time.ts";
import { type Applied, Proposals } from "./proposals.ts";
import { REHEARSAL_MS, RehearsalRules, type SqlDraft } from "./rehearsal-rules.ts";
import { notLeader, outcomeUnknown, overloaded, stopping } from "./sql-errors.ts";
import type { Waiters } from "./waiters.ts";
import { type Brake, WriteBrake } from "./write-brake.ts";
import { WriteGate } from "./write-gate.ts";

const SEED_BYTES = 16;

/** Commands that wait for their turn or their result at once. */
const WAITING_MAX = 4096;

export interface ProposerOptions {
  readonly consensus: Pick<Consensus, "raft" | "propose">;
  readonly copy: Pick<CopyKeeper, "fault">;
  readonly store: Pick<Store, "data" | "hiddenWork" | "lastTimeMs" | "rehearse">;
  readonly appliedIndex: () => number;
  /** See `WriteBrake`. */
  readonly brake: () => Brake | null;
  readonly logTime: LogTime;
  readonly waiters: Waiters;
  readonly clock: Clock;
  readonly random: Random;
}

/** What the leader adds to a command. */
interface Stamp {
  readonly timeMs: number;
  readonly seed: Uint8Array;
}

/** A command that is to enter the log. */
interface Request {
  readonly draft: CommandDraft;
  /** Later it does not enter. */
  readonly deadline: Deadline;
  /** Of this member's leadership: it enters in no other. */
  readonly term: number;
}

/** A command that is in the log. */
interface Proposed {
  readonly answer: Promise<Applied>;
}

interface Entering {
  readonly deadline: Deadline;
  readonly proposed: Promise<Proposed>;
}

/**
 * Takes commands, if this member leads, from the request to the applied result.
 *
 * What may take for ever is tried out before, since an entry that never ends would stop every node, for good: on exactly the data, and
 * with the time and chance, that it will be applied with (see `WriteGate`).
 */
export class Proposer {
  readonly #options: ProposerOptions;
  readonly #proposals = new Proposals();
  readonly #gate: WriteGate;
  readonly #brake: WriteBrake;
  readonly #rehearsal: RehearsalRules;
  /** Commands of sessions on their way into the log, by their guard: a repetition waits for the same answer, and nobody for it. */
  readonly #entering = new Map<string, Entering>();
  #refusal: () => TrivetError | null = () => null;
  #refusalOfAll: () => TrivetError | null = () => null;

  constructor(options: ProposerOptions) {
    this.#options = options;
    const settled = (): Promise<void> => this.#settled();
    this.#brake = new WriteBrake(options);
    this.#rehearsal = new RehearsalRules(options);
    this.#gate = new WriteGate({ clock: options.clock, settled });
  }

  /** True while commands wait for their result. */
  get isAnswering(): boolean {
    return this.#proposals.size > 0;
  }

  /** `refusal` says of each write why it cannot be taken now; null if it can. Reads are not asked for. */
  refuseWrites(refusal: () => TrivetError | null): void {
    this.#refusal = refusal;
  }

  /** The same of every command: nothing can be applied, or tried out, and no session asked. */
  refuseAll(refusal: () => TrivetError | null): void {
    this.#refusalOfAll = refusal;
  }

  /**
   * Replicates and applies a command, if this member leads in `term`. Rejects with `not-leader` (it did not and will not happen), what
   * `Store.rehearse` rejects with while the store is at work, `overloaded`, `store-busy`, `stopping` (likewise) or `outcome-unknown`. After the deadline, or in another
   * term, it does not enter the log any more; once it has, the caller keeps the deadline.
   */
  async propose(
    draft: CommandDraft,
    deadline: Deadline,
    term = this.#options.consensus.raft.term,
  ): Promise<Applied> {
    if (this.#proposals.size + this.#gate.waiting + this.#brake.waiting >= WAITING_MAX) throw overloaded();
    this.#assertLeads(term);
    const refusal = this.#refusalOfAll();
    if (refusal !== null) throw refusal;
    const enter = (): Promise<Proposed> => this.#enterOnce({ draft, deadline, term });
    const isOver = (): boolean => !this.#leads(term);
    const { answer } = await (isBarrier(draft) ? enter() : this.#brake.pass(enter, deadline, isOver));
    return answer;
  }

  /** To be called when consensus has moved. */
  progressed(): void {
    if (this.#gate.isShut && !this.#leads()) this.#gate.turnAway(notLeader());
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
    this.#gate.turnAway(stopping());
    this.#proposals.fail(outcomeUnknown());
  }

  async #enterOnce(request: Request): Promise<Proposed> {
    const { draft, deadline } = request;
    if (draft.kind === "open-session" || draft.session === null) return this.#enter(request);
    const { id, sequence } = draft.session;
    const key = `${draft.kind} ${id} ${sequence}`;
    for (let earlier = this.#entering.get(key); earlier !== undefined; earlier = this.#entering.get(key)) {
      try {
        return await earlier.proposed;
      } catch (error) {
        // It may have failed only for want of time, of which this one has more.
        if (!earlier.deadline.hasPassed || deadline.hasPassed) throw error;
      }
    }
    const proposed = this.#enter(request).finally(() => this.#entering.delete(key));
    this.#entering.set(key, { deadline, proposed });
    return proposed;
  }

  #enter(request: Request): Promise<Proposed> {
    const { draft, deadline } = request;
    return this.#gate.enter(
      {
        patienceMs: draft.kind === "sql" ? this.#rehearsal.limitsOf(draft).patienceMs : APPLY_PATIENCE_MS,
        mustBeAlone: () => draft.kind === "sql" && this.#mustBeTried(draft),
        pass: () => this.#put(request, this.#stamp()),
        passAlone: (othersWait) => this.#tryAndPut(request, othersWait),
      },
      deadline.remainingMs,
    );
  }

  /** While it is tried out, nothing is put into the log but what consensus puts there itself, which is not for the user's data. */
  async #tryAndPut(request: Request, othersWait: AbortSignal): Promise<Proposed> {
    const { draft, deadline, term } = request;
    const { store } = this.#options;
    this.#assertMayEnter(request);
    const stamp = this.#stamp();
    // Once all is applied, it may be plain after all.
    if (draft.kind !== "sql" || !this.#mustBeTried(draft)) return this.#put(request, stamp);
    const { session, transaction, statements } = draft;
    const refusal = this.#refusal();
    // Where nothing can be taken, only the session is asked.
    const tried = refusal === null ? statements : [];
    const limits = this.#rehearsal.limitsOf(draft);
    const timeoutMs = Math.min(limits.timeoutMs, deadline.remainingMs);
    const options = { ...stamp, ...limits, session, transaction, timeoutMs, othersWait };
    const rehearsed = await store.rehearse(tried, options).catch((error: unknown) => {
      this.#assertLeads(term);
      // This node is about to stop, and whoever leads next has a store that can try it out.
      throw isStoreEnded(error) ? stopping(error) : error;
    });
    this.#assertLeads(term);
    // mark: replica: a write of a session that was done before is answered without being tried out
    if (rehearsed === "answered")
      return this.#put({ ...request, draft: { ...draft, statements: [], traits: NO_TRAITS } }, stamp);
    if (refusal !== null) throw refusal;
    return this.#put(request, stamp);
  }

  #put(request: Request, { timeMs, seed }: Stamp): Proposed {
    const { draft } = request;
    this.#assertMayEnter(request);
    const refusal = isBarrier(draft) ? null : this.#refusal();
    if (refusal !== null) throw refusal;
    const proposed = this.#options.consensus.propose(encodeCommand(completeDraft(draft, timeMs, seed)));
    if (proposed.kind === "refused") throw proposed.reason === "overloaded" ? overloaded() : notLeader();
    if (draft.kind === "sql") this.#rehearsal.entered(draft, proposed);
    return { answer: this.#proposals.wait(proposed.index, proposed.term) };
  }

  #stamp(): Stamp {
    const { consensus, store, logTime, random } = this.#options;
    return { timeMs: logTime.next(consensus.raft, store.lastTimeMs), seed: random.bytes(SEED_BYTES) };
  }

  #mustBeTried(draft: SqlDraft): boolean {
    if (isBarrier(draft)) return false;
    // It may have been done before: then it is answered, although nothing is taken now.
    if (draft.session !== null && this.#refusal() !== null) return true;
    return this.#rehearsal.mustBeTried(draft);
  }

  /** Rejects with `not-leader` if this member ceases to lead, with `store-busy` after `REHEARSAL_MS`. */
  async #settled(): Promise<void> {
    const { consensus, waiters, appliedIndex } = this.#options;
    const { term, lastIndex } = consensus.raft;
    const isOver = (): boolean => appliedIndex() >= lastIndex || !this.#leads(term);
    await waiters.until(isOver, REHEARSAL_MS, notSettled);
    this.#assertLeads(term);
  }

  #leads(term = this.#options.consensus.raft.term): boolean {
    const { consensus, copy } = this.#options;
    return consensus.raft.role === "leader" && consensus.raft.term === term && copy.fault === null;
  }

  #assertLeads(term?: number): void {
    this.#options.waiters.throwIfFailed();
    if (!this.#leads(term)) throw notLeader();
  }

  #assertMayEnter({ term, deadline }: Request): void {
    this.#assertLeads(term);
    if (deadline.hasPassed) throw tooLate();
  }
}

function tooLate(): TrivetError {
  return new TrivetError(
    "store-busy",
    "The time of the write was over before it could be carried out, and it was not. Give it more time, or try again later.",
  );
}

function notSettled(): TrivetError {
  return new TrivetError(
    "store-busy",
    `The writes before this one were not applied within ${REHEARSAL_MS} ms, so it could not be tried out, and was not carried out. Try again later.`,
  );
}
