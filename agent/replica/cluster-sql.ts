import type { Clock } from "../platform/clock.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { checkStatement, checkStatements } from "../store/sql-check.ts";
import type { CommandResult, LogPosition, SqlStatement, StatementResult, Store } from "../store/types.ts";
import { Deadline } from "./deadline.ts";
import { Forwards } from "./forwards.ts";
import { nodeIdOf } from "./member-id.ts";
import type { Transport } from "./ports.ts";
import type { Applied } from "./proposals.ts";
import type { Replica } from "./replica.ts";
import {
  isAnswerLost,
  isNothingDone,
  notLeader,
  outcomeUnknown,
  readTimeout,
  toSqlError,
  writeTimeout,
} from "./sql-errors.ts";
import type { ReadLevel, SqlOptions, SqlService } from "./sql-service.ts";
import {
  decodeApplied,
  decodeExecute,
  decodePosition,
  type ExecuteRequest,
  encodeApplied,
  encodeExecute,
  encodePosition,
} from "./sql-wire.ts";

/** Asks the leader to replicate a command; answers with its result. */
const EXECUTE = "sql/execute";
/** Asks the leader for the index that a linearizable read must wait for. */
const READ_INDEX = "sql/read-index";
/** Asks the leader for its commit index, without proof that it still leads. */
const COMMIT_INDEX = "sql/commit-index";

/** How long to wait before the same leader is asked again after it refused or could not be reached. */
const RETRY_MS = 25;

interface AskRules {
  readonly onTimeout: () => TrivetError;
  /** It changes nothing, so it may be asked again even if it may have been answered. */
  readonly isHarmless: boolean;
}

export interface ClusterSqlOptions {
  readonly replica: Replica;
  readonly store: Store;
  readonly transport: Transport;
  readonly clock: Clock;
}

/**
 * SQL from any node: writes go to the leader, reads are served here once this node has caught up with what the level asks
 * for. While there is no leader, or it changes, requests wait until their deadline.
 */
export class ClusterSql implements SqlService {
  readonly #replica: Replica;
  readonly #store: Store;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #forwards: Forwards;
  readonly #stopHandling: readonly (() => void)[];

  constructor(options: ClusterSqlOptions) {
    this.#replica = options.replica;
    this.#store = options.store;
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#forwards = new Forwards(options.clock);
    const replica = this.#replica;
    this.#stopHandling = [
      replica.onLeader((leader) => this.#forwards.leaderChanged(nodeIdOf(leader))),
      this.#transport.handle(EXECUTE, async (_from, body) => {
        const { statements, transaction } = decodeExecute(body);
        // The sender has checked this; but what is too large to be sent on would stop every leader that tries.
        assertBounded(statements);
        return encodeApplied(await replica.propose(statements, transaction));
      }),
      this.#transport.handle(READ_INDEX, async () => encodePosition(await replica.readIndex())),
      this.#transport.handle(COMMIT_INDEX, async () => {
        if (!replica.isLeader) throw notLeader();
        return encodePosition(replica.committed);
      }),
    ];
  }

  async execute(
    statements: readonly SqlStatement[],
    options: SqlOptions & { readonly transaction: boolean },
  ): Promise<CommandResult> {
    const { transaction } = options;
    assertBounded(statements);
    const refusals = statements.map(refusalOf);
    const accepted = statements.filter((_, nth) => refusals[nth] === null);
    if (transaction && accepted.length < statements.length) return firstOf(refusals);
    if (accepted.length === 0) return refusals.filter((refusal) => refusal !== null);
    const deadline = new Deadline(this.#clock, options.timeoutMs);
    const { result } = await this.#propose({ statements: accepted, transaction }, deadline, {
      onTimeout: writeTimeout,
      isHarmless: false,
    });
    return mergeRefusals(refusals, result);
  }

  async query(
    statements: readonly SqlStatement[],
    options: SqlOptions & { readonly level: ReadLevel },
  ): Promise<CommandResult> {
    const deadline = new Deadline(this.#clock, options.timeoutMs);
    await this.#catchUp(options.level, deadline);
    return this.#store.query(statements, { timeoutMs: deadline.remainingMs });
  }

  /** Answers the other nodes no more. */
  stop(): void {
    for (const stop of this.#stopHandling) stop();
  }

  /** Waits until this node has applied what a read of this level must see. */
  async #catchUp(level: ReadLevel, deadline: Deadline): Promise<void> {
    switch (level) {
      case "none":
        return;
      case "weak":
        return this.#catchUpWith(COMMIT_INDEX, async () => this.#replica.committed, deadline);
      case "linearizable":
        return this.#catchUpWith(READ_INDEX, () => this.#replica.readIndex(), deadline);
      case "strong": {
        // A command without statements goes through the log like a write: what stands before it is applied then.
        const { position } = await this.#propose({ statements: [], transaction: false }, deadline, {
          onTimeout: readTimeout,
          isHarmless: true,
        });
        return this.#replica.waitApplied(position, deadline.remainingMs);
      }
    }
  }

  #propose(request: ExecuteRequest, deadline: Deadline, rules: AskRules): Promise<Applied> {
    return this.#askLeader(deadline, {
      here: () => this.#replica.propose(request.statements, request.transaction),
      there: async (leader) =>
        decodeApplied(await this.#request(leader, EXECUTE, encodeExecute(request), deadline)),
      ...rules,
    });
  }

  async #catchUpWith(method: string, here: () => Promise<LogPosition>, deadline: Deadline): Promise<void> {
    const position = await this.#askLeader(deadline, {
      here,
      there: async (leader) =>
        decodePosition(await this.#request(leader, method, new Uint8Array(0), deadline)),
      onTimeout: readTimeout,
      isHarmless: true,
    });
    await this.#replica.waitApplied(position, deadline.remainingMs);
  }

  /**
   * Asks whoever leads, again and again while it is certain that nothing was done, until the deadline. What is not
   * certain is told to the caller.
   */
  async #askLeader<T>(
    deadline: Deadline,
    ask: AskRules & {
      readonly here: () => Promise<T>;
      readonly there: (leaderNode: string) => Promise<T>;
    },
  ): Promise<T> {
    for (;;) {
      await this.#replica.waitLeader((leader) => leader !== null, deadline.remainingMs);
      const { leader, isLeader } = this.#replica;
      if (leader === null) continue;
      try {
        return await deadline.race(isLeader ? ask.here() : ask.there(nodeIdOf(leader)), ask.onTimeout);
      } catch (error) {
        if (isAnswerLost(error) && !ask.isHarmless) {
          throw deadline.hasPassed ? ask.onTimeout() : outcomeUnknown(error);
        }
        if (isAnswerLost(error) && deadline.hasPassed) throw ask.onTimeout();
        const mayRepeat = isNothingDone(error) || isAnswerLost(error);
        if (!mayRepeat || deadline.hasPassed) throw toSqlError(error);
        await this.#waitOtherLeader(leader, deadline);
      }
    }
  }

  /** Until somebody else leads, but not long: the refusal may have been a passing one. */
  async #waitOtherLeader(refused: string, deadline: Deadline): Promise<void> {
    try {
      const timeoutMs = Math.min(RETRY_MS, deadline.remainingMs);
      await this.#replica.waitLeader((leader) => leader !== null && leader !== refused, timeoutMs);
    } catch (error) {
      if (!isTrivetError(error, "no-leader")) throw error;
    }
  }

  #request(toNode: string, method: string, body: Uint8Array, deadline: Deadline): Promise<Uint8Array> {
    const { remainingMs: timeoutMs } = deadline;
    return this.#forwards.follow(toNode, (signal) =>
      this.#transport.request(toNode, method, body, { timeoutMs, signal }),
    );
  }
}

/** Throws `too-large` if the request breaks a bound. */
function assertBounded(statements: readonly SqlStatement[]): void {
  const check = checkStatements(statements);
  if (!check.ok) throw new TrivetError(check.code, check.message);
}

/** Null if the statement may be replicated. */
function refusalOf({ sql }: SqlStatement): StatementResult | null {
  const check = checkStatement(sql);
  return check.ok ? null : { kind: "error", code: check.code, message: check.message };
}

function firstOf(refusals: readonly (StatementResult | null)[]): CommandResult {
  return refusals.filter((refusal) => refusal !== null).slice(0, 1);
}

/** Puts the refusals back where their statements stood. */
function mergeRefusals(refusals: readonly (StatementResult | null)[], results: CommandResult): CommandResult {
  if (refusals.every((refusal) => refusal === null)) return results;
  const rest = results[Symbol.iterator]();
  return refusals.flatMap((refusal) => {
    if (refusal !== null) return [refusal];
    const { value, done } = rest.next();
    return done === true ? [] : [value];
  });
}
