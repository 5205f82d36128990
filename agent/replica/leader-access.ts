import type { Clock } from "../platform/clock.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "../store/types.ts";
import { CheckTurns } from "./check-turns.ts";
import { acceptDraft, BARRIER, type CommandDraft } from "./command-draft.ts";
import { Deadline } from "./deadline.ts";
import { Forwards } from "./forwards.ts";
import {
  decodeApplied,
  decodePosition,
  decodeProposal,
  encodeApplied,
  encodePosition,
  encodeProposal,
} from "./leader-wire.ts";
import type { Leader } from "./leadership.ts";
import { nodeIdOf } from "./member-id.ts";
import type { RequestOptions, Transport } from "./ports.ts";
import type { Applied } from "./proposals.ts";
import type { ReadLevel } from "./read-level.ts";
import type { Replica } from "./replica.ts";
import {
  afterLostAnswer,
  isAnswerLost,
  isNothingDone,
  notLeader,
  ofThisTry,
  outcomeUnknown,
  readTimeout,
  throwIfForgotten,
  toSqlError,
  writeTimeout,
} from "./sql-errors.ts";

/**
 * Asks the leader of a term to replicate a command; answers with its result. A leader that has started again may get the request once
 * more (see `Transport.handle`), but then it leads in another term.
 */
const PROPOSE = "command/propose";
/** Asks the leader for the index that a linearizable read must wait for. */
const READ_INDEX = "command/read-index";
/** Asks the leader for its commit index, without proof that it still leads. */
const COMMIT_INDEX = "command/commit-index";

/** How long to wait before the same leader is asked again after it refused or could not be reached. */
const RETRY_MS = 25;

/**
 * How long a leader may say nothing, not even that it is at work, before a request that may be repeated is sent again: datagrams get
 * lost. Twice as long each time, so that a link that needs longer gets it.
 */
const SILENCE_MS_MIN = 1_000;

/** What may be done when an answer got lost, so that nobody knows whether the request had its effect. */
type Repetition =
  /** A read: ask again. */
  | "harmless"
  /** A write of a session: ask again, it applies once; but until an answer comes, it may have been done. */
  | "guarded"
  /** Any other write: the caller must decide. */
  | "forbidden";

type Patience = Pick<RequestOptions, "timeoutMs" | "silenceMs">;

interface Question<T> {
  readonly repetition: Repetition;
  readonly here: () => Promise<T>;
  /** `patience`: see `SILENCE_MS_MIN`. */
  readonly there: (leader: Leader, patience: Patience) => Promise<T>;
  /** Throws if this is no answer to earlier tries of the same question. */
  readonly check?: (answer: T) => void;
}

export interface LeaderAccessOptions {
  readonly replica: Replica;
  readonly transport: Transport;
  readonly clock: Clock;
}

/**
 * Whoever leads, as every node reaches it: here or over the bus. While there is no leader, or it changes, requests wait
 * until their deadline. Answers the same requests of other nodes.
 */
export class LeaderAccess {
  /** For the SQL of this node's clients, and the writes that other nodes send. */
  readonly turns: CheckTurns;
  readonly #replica: Replica;
  readonly #transport: Transport;
  readonly #forwards: Forwards;
  readonly #stopHandling: readonly (() => void)[];

  constructor({ replica, transport, clock }: LeaderAccessOptions) {
    this.#replica = replica;
    this.#transport = transport;
    this.#forwards = new Forwards(clock);
    this.turns = new CheckTurns(clock);
    this.#stopHandling = [
      replica.leadership.onChange((leader) => this.#forwards.leaderChanged(nodeIdOf(leader))),
      transport.handle(PROPOSE, async (_from, body, { deadlineMs }) => {
        const { draft, term } = decodeProposal(body);
        if (draft.kind === "sql") await this.turns.wait(draft.statements);
        const deadline = Deadline.at(clock, deadlineMs);
        const applied = replica.proposer.propose(acceptDraft(draft), deadline, term);
        // After that nobody hears the answer, and to wait on would hold a place that other requests of that node need.
        return encodeApplied(await deadline.race(applied, outcomeUnknown));
      }),
      transport.handle(READ_INDEX, async () => encodePosition(await replica.reads.readIndex())),
      transport.handle(COMMIT_INDEX, async () => {
        if (!replica.leadership.isLeader) throw notLeader();
        return encodePosition(replica.reads.committed);
      }),
    ];
  }

  /** Has a command replicated and applied; rejects as `SqlService.execute` does. */
  propose(draft: CommandDraft, deadline: Deadline): Promise<Applied> {
    return this.#propose(draft, deadline, repetitionOf(draft));
  }

  /** Waits until this node has applied what a read of this level must see; rejects as `SqlService.query` does. */
  async catchUp(level: ReadLevel, deadline: Deadline): Promise<void> {
    await this.#catchUp(level, deadline);
    // Last, and whatever the level: what a copy that was put out of use meanwhile holds may never have been true.
    this.#replica.copy.assertServing();
  }

  /** Answers the other nodes no more. */
  stop(): void {
    for (const stop of this.#stopHandling) stop();
  }

  async #catchUp(level: ReadLevel, deadline: Deadline): Promise<void> {
    switch (level) {
      case "none":
        return;
      case "weak":
        return this.#catchUpWith(COMMIT_INDEX, async () => this.#replica.reads.committed, deadline);
      case "linearizable":
        return this.#catchUpWith(READ_INDEX, () => this.#replica.reads.readIndex(), deadline);
      case "strong": {
        const { position } = await this.#propose(BARRIER, deadline, "harmless");
        return this.#replica.reads.waitApplied(position, deadline.remainingMs);
      }
    }
  }

  #propose(draft: CommandDraft, deadline: Deadline, repetition: Repetition): Promise<Applied> {
    return this.#ask(deadline, {
      repetition,
      here: () => this.#replica.proposer.propose(draft, deadline),
      there: async (leader, patience) => {
        const body = encodeProposal({ term: leader.term, draft });
        return decodeApplied(await this.#request(leader, PROPOSE, body, patience));
      },
      check: ({ result }) => throwIfForgotten(result),
    });
  }

  async #catchUpWith(method: string, here: () => Promise<LogPosition>, deadline: Deadline): Promise<void> {
    const position = await this.#ask(deadline, {
      repetition: "harmless",
      here,
      there: async (leader, patience) =>
        decodePosition(await this.#request(leader, method, new Uint8Array(0), patience)),
    });
    await this.#replica.reads.waitApplied(position, deadline.remainingMs);
  }

  /**
   * Asks whoever leads, again and again while that can do nothing twice, until the deadline. What is not certain is told to
   * the caller.
   */
  async #ask<T>(deadline: Deadline, question: Question<T>): Promise<T> {
    const { repetition, here, there, check } = question;
    const onTimeout = repetition === "harmless" ? readTimeout : writeTimeout;
    /** Once an answer to a write got lost, no later refusal can vouch for it that nothing was done; the session's own neither. */
    let isInDoubt = false;
    let refused: Leader | null = null;
    let silenceMs = SILENCE_MS_MIN;
    try {
      for (;;) {
        const leader = await this.#nextLeader(refused, deadline);
        refused = leader;
        const timeoutMs = deadline.remainingMs;
        const patience = repetition === "forbidden" ? { timeoutMs } : { timeoutMs, silenceMs };
        silenceMs *= 2;
        try {
          const asked = this.#replica.leadership.isLeader ? here() : there(leader, patience);
          const answer = await deadline.race(asked, onTimeout);
          check?.(answer);
          return answer;
        } catch (error) {
          const isLost = isAnswerLost(error);
          if (isLost && repetition !== "harmless") isInDoubt = true;
          const mayRepeat = isNothingDone(error) || (isLost && repetition !== "forbidden");
          if (isLost && deadline.hasPassed) throw onTimeout();
          if (!mayRepeat || deadline.hasPassed) throw error;
          if (isInDoubt) {
            // mark: leader-access: a write whose answer got lost is asked again
          }
        }
      }
    } catch (error) {
      if (!isInDoubt || !isTrivetError(error)) {
        throw repetition === "guarded" ? ofThisTry(toSqlError(error)) : toSqlError(error);
      }
      throw deadline.hasPassed ? onTimeout() : afterLostAnswer(error);
    }
  }

  /** Who leads. One that has just refused is given a moment in which another may take over; the refusal may have been a passing one. */
  async #nextLeader(refused: Leader | null, deadline: Deadline): Promise<Leader> {
    if (refused !== null) await this.#waitOtherLeader(refused, deadline);
    for (;;) {
      await this.#replica.leadership.wait((leader) => leader !== null, deadline.remainingMs);
      const { present } = this.#replica.leadership;
      if (present !== null) return present;
    }
  }

  async #waitOtherLeader(refused: Leader, deadline: Deadline): Promise<void> {
    const { leadership } = this.#replica;
    const isOther = (): boolean => {
      const { present } = leadership;
      return present !== null && (present.member !== refused.member || present.term !== refused.term);
    };
    try {
      await leadership.wait(isOther, Math.min(RETRY_MS, deadline.remainingMs));
    } catch (error) {
      if (!isTrivetError(error, "no-leader")) throw error;
    }
  }

  #request({ member }: Leader, method: string, body: Uint8Array, patience: Patience): Promise<Uint8Array> {
    const toNode = nodeIdOf(member);
    return this.#forwards.follow(toNode, (signal) =>
      this.#transport.request(toNode, method, body, { ...patience, signal }),
    );
  }
}

function repetitionOf(draft: CommandDraft): Repetition {
  // A session that nobody knows of is forgotten after a while.
  if (draft.kind === "open-session") return "harmless";
  return draft.session === null ? "forbidden" : "guarded";
}
