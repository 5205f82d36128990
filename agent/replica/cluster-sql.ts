import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import { planQuery } from "../store/query-plan.ts";
import { checkRequest, traitsOf } from "../store/request-check.ts";
import type { Store } from "../store/store.ts";
import type { CommandResult, SqlStatement, StatementResult } from "../store/types.ts";
import { refusalOf } from "./command-draft.ts";
import { Deadline } from "./deadline.ts";
import type { LeaderAccess } from "./leader-access.ts";
import { throwIfRefused } from "./sql-errors.ts";
import type { ExecuteOptions, QueryOptions, SqlOptions, SqlService } from "./sql-service.ts";

export interface ClusterSqlOptions {
  readonly leader: LeaderAccess;
  readonly store: Store;
  readonly clock: Clock;
}

/**
 * SQL from any node: writes go to the leader, reads are served here once this node has caught up with what the level asks
 * for.
 */
export class ClusterSql implements SqlService {
  readonly #leader: LeaderAccess;
  readonly #store: Store;
  readonly #clock: Clock;

  constructor({ leader, store, clock }: ClusterSqlOptions) {
    this.#leader = leader;
    this.#store = store;
    this.#clock = clock;
  }

  async openSession(options: SqlOptions): Promise<number> {
    const deadline = new Deadline(this.#clock, options.timeoutMs);
    const { result } = await this.#leader.propose({ kind: "open-session" }, deadline);
    const [opened] = result;
    invariant(opened?.kind === "session", "open-session was not answered with a session");
    return opened.id;
  }

  async execute(statements: readonly SqlStatement[], options: ExecuteOptions): Promise<CommandResult> {
    const { transaction, session = null } = options;
    const deadline = new Deadline(this.#clock, options.timeoutMs);
    await this.#leader.turns.wait(statements);
    const checks = checkRequest(statements);
    const refusals = checks.map(refusalOf);
    const isAccepted = (_: unknown, nth: number): boolean => refusals[nth] === null;
    const accepted = statements.filter(isAccepted);
    if (transaction && accepted.length < statements.length) return firstOf(refusals);
    if (accepted.length === 0) return refusals.filter((refusal) => refusal !== null);
    const traits = traitsOf(checks.filter(isAccepted), accepted);
    const draft = { kind: "sql", session, transaction, statements: accepted, traits } as const;
    const { result } = await this.#leader.propose(draft, deadline);
    if (session !== null) throwIfRefused(result);
    return mergeRefusals(refusals, result);
  }

  async query(statements: readonly SqlStatement[], options: QueryOptions): Promise<CommandResult> {
    const deadline = new Deadline(this.#clock, options.timeoutMs);
    await this.#leader.turns.wait(statements);
    const plan = planQuery(statements);
    // Last: what it found may not hold any more after another wait.
    await this.#leader.catchUp(options.level, deadline);
    return this.#store.query(plan, { timeoutMs: deadline.remainingMs });
  }
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
