import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { READ_LEVELS } from "../../agent/replica/read-level.ts";
import type { CommandResult } from "../../agent/store/types.ts";
import { type KvOperation, statementOf } from "./kv-sql.ts";
import { endOfChange, endOfRead, endOfWrite, type RequestEnd } from "./request-end.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { check } from "./violation.ts";

const TIMEOUT_MS = 5_000;
/** Nobody else writes it. */
const KEY = "once";

export interface ClosingRequestsOptions {
  readonly random: SimRandom;
  /** Of the nodes that are well and belong to the cluster. */
  readonly members: () => readonly SimNode[];
  readonly leader: () => SimNode | undefined;
  /** Resolves when it holds, in the time that there is. */
  readonly until: (what: string, isMet: () => Promise<boolean>) => Promise<void>;
  readonly log: (text: string) => void;
}

/**
 * One request of each kind when all is well, where none may fail for good: who promises much and does nothing breaks no promise that
 * could be watched.
 */
export class ClosingRequests {
  readonly #options: ClosingRequestsOptions;

  constructor(options: ClosingRequestsOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    await this.#writeOnce();
    await this.#readOnEachLevel();
    await this.#changeMembers();
  }

  /** By the same session and sequence through every member: it applies once, and each is told what the first was. */
  async #writeOnce(): Promise<void> {
    const { until, members, random } = this.#options;
    let id = 0;
    await until("a session is opened", async () => {
      const { process } = random.pick(members());
      if (process?.sql == null) return false;
      const opened = await process
        .whileAlive(process.sql.openSession({ timeoutMs: TIMEOUT_MS }))
        .catch(endOfWrite);
      if (typeof opened === "number") id = opened;
      return typeof opened === "number";
    });
    // A second time it would find another value, and change nothing.
    const operation = { kind: "cas", key: KEY, from: null, to: KEY } as const;
    for (const node of members()) {
      await until(`a write of a session is answered by node ${node.number}`, async () => {
        if (!members().includes(node)) return true;
        const answer = await this.#write(node, operation, id);
        if (typeof answer === "string") return false;
        const [result] = answer;
        check(
          result?.kind === "changed" && result.rowsAffected === 1,
          () => `a write of a session was answered ${JSON.stringify(result)} when it was repeated`,
        );
        return true;
      });
    }
  }

  async #write(
    { process }: SimNode,
    operation: KvOperation,
    id: number,
  ): Promise<CommandResult | RequestEnd> {
    if (process?.sql == null) return "refused";
    const options = { timeoutMs: TIMEOUT_MS, transaction: false, session: { id, sequence: 1 } };
    const answer = await process
      .whileAlive(process.sql.execute([statementOf(operation)], options))
      .catch((error: unknown) => {
        // Nothing is lost any more that the session could have been told twice of.
        check(!isTrivetError(error, "session-expired"), () => `the session ${id} is gone`);
        return endOfWrite(error);
      });
    return answer;
  }

  async #readOnEachLevel(): Promise<void> {
    const { until, members, random } = this.#options;
    for (const level of READ_LEVELS) {
      await until(`a ${level} read is answered`, async () => {
        const { process } = random.pick(members());
        if (process?.sql == null) return false;
        const statement = statementOf({ kind: "get", key: KEY });
        const answer = await process
          .whileAlive(process.sql.query([statement], { level, timeoutMs: TIMEOUT_MS }))
          .catch(endOfRead);
        if (typeof answer === "string") return false;
        const [rows] = answer;
        const value = rows?.kind === "rows" ? rows.values[0]?.[0] : undefined;
        const isPromised = level === "linearizable" || level === "strong";
        check(value === KEY || !isPromised, () => `a ${level} read missed an acknowledged write: ${value}`);
        return value === KEY;
      });
    }
  }

  /** Who is lost goes; if nobody is, one changes between voter and learner, at times the leader. */
  async #changeMembers(): Promise<void> {
    const { until, leader, members, log } = this.#options;
    await until("the members are changed", async () => {
      const replica = leader()?.process?.replica;
      if (replica == null) return false;
      const target = this.#target(replica.status());
      // One that is alone has nobody to change with.
      if (target === null) return members().length < 2;
      log(`members are to be ${JSON.stringify(target)} in the end`);
      const change = replica.members.change(target, TIMEOUT_MS).then(() => "done", endOfChange);
      return (await change) === "done";
    });
    await until("who is no voter leads no more", async () => {
      const { memberId, process } = leader() ?? {};
      return memberId !== undefined && process?.replica?.status().voters.includes(memberId) === true;
    });
  }

  #target({
    voters,
    learners,
  }: {
    readonly voters: readonly string[];
    readonly learners: readonly string[];
  }): {
    readonly voters: readonly string[];
    readonly learners: readonly string[];
  } | null {
    const { random, members } = this.#options;
    const well = members().map(({ memberId }) => memberId);
    const isWell = (id: string) => well.includes(id);
    const rest = { voters: voters.filter(isWell), learners: learners.filter(isWell) };
    if (rest.voters.length + rest.learners.length < voters.length + learners.length) return rest;
    if (well.length < 2) return null;
    const moved = random.pick(well);
    const without = (ids: readonly string[]) => ids.filter((id) => id !== moved);
    if (!voters.includes(moved)) return { voters: [...voters, moved], learners: without(learners) };
    // One must stay: the last voter changes places with another member.
    const remaining = voters.length > 1 ? without(voters) : [random.pick(without(well))];
    return { voters: remaining, learners: [...learners.filter((id) => !remaining.includes(id)), moved] };
  }
}
