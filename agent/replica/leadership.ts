import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import { votersOf } from "../raft/quorum.ts";
import type { MemberId } from "../raft/types.ts";
import type { Consensus } from "./consensus.ts";
import type { CopyKeeper } from "./copy-keeper.ts";
import { Deadline } from "./deadline.ts";
import { nodeIdOf } from "./member-id.ts";
import { pause } from "./pause.ts";
import { noLeader, stopping, writeTimeout } from "./sql-errors.ts";
import type { Waiters } from "./waiters.ts";

/** After leadership was handed over: longer than a message takes, and than the others take to hear of it. */
const LINGER_MS = 300;

/** How the waits of a hand-over may end: nobody took over, the answers did not come, this member stops. */
const HAND_OVER_ENDS: readonly string[] = ["no-leader", "timeout", "stopping"];

/** Voters that lost the leader campaign one after the other, so that they do not split the vote. */
const LEADER_LOST_RANK_MS = 40;
const LEADER_LOST_JITTER_MS = 10;

export interface LeadershipOptions {
  readonly consensus: {
    readonly raft: Pick<
      Consensus["raft"],
      "id" | "role" | "term" | "leader" | "isTransferring" | "configuration" | "peers"
    >;
    transferLeadership(to: MemberId | null): boolean;
    leaderLost(leader: MemberId, delayMs: number): void;
  };
  readonly copy: Pick<CopyKeeper, "fault">;
  /** True while commands that were proposed here wait for their answer. */
  readonly isAnswering: () => boolean;
  readonly waiters: Waiters;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A member in one term of its leadership: what was asked of it then is not to be done by it in another. */
export interface Leader {
  readonly member: MemberId;
  readonly term: number;
}

/** Who leads the cluster, as far as this member knows; and how it gives leadership away. */
export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #listeners = new Set<(leader: MemberId) => void>();
  readonly #stopping = new AbortController();
  #reported = "";

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  /** Null while nobody leads that can serve, or while leadership is being handed over. */
  get leader(): MemberId | null {
    const { consensus, copy } = this.#options;
    const { id, leader, isTransferring } = consensus.raft;
    return isTransferring || (leader === id && copy.fault !== null) ? null : leader;
  }

  /** `leader`, and the term in which it leads. */
  get present(): Leader | null {
    const { leader: member } = this;
    return member === null ? null : { member, term: this.#options.consensus.raft.term };
  }

  get isLeader(): boolean {
    return this.leader === this.#options.consensus.raft.id;
  }

  leadsIn(term: number): boolean {
    return this.isLeader && this.#options.consensus.raft.term === term;
  }

  /** Resolves once `isMet` holds for the present leader. Rejects with `no-leader` after `timeoutMs`, or `stopping`. */
  wait(isMet: (leader: MemberId | null) => boolean, timeoutMs: number): Promise<void> {
    return this.#options.waiters.until(() => isMet(this.leader), timeoutMs, noLeader);
  }

  /** Calls `listener` when another member leads, or one leads again. Returns what ends that. */
  onChange(listener: (leader: MemberId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The connection to a node died. If it leads, this is the fastest sign of its death, though only a sign; see `Raft.leaderLost`. */
  nodeLost(nodeId: string): void {
    const { consensus, random } = this.#options;
    const { leader, configuration, id } = consensus.raft;
    if (leader === null || nodeIdOf(leader) !== nodeId) return;
    const rank = [...votersOf(configuration)]
      .filter((voter) => voter !== leader)
      .sort()
      .indexOf(id);
    const delayMs = Math.max(0, rank) * LEADER_LOST_RANK_MS + random.float() * LEADER_LOST_JITTER_MS;
    consensus.leaderLost(leader, delayMs);
  }

  /**
   * Hands leadership over if this member has it, to `to` if that is given, so that nobody waits for an election timeout. Resolves
   * when another leads, what was proposed here is answered, and what the others had sent here meanwhile has been turned away
   * (`LINGER_MS`). The first two end after `timeoutMs`: then the others must find out by themselves.
   */
  async handOver(timeoutMs: number, to: MemberId | null = null): Promise<void> {
    const { consensus, waiters, isAnswering, clock, logger } = this.#options;
    if (!consensus.transferLeadership(to)) return;
    const deadline = new Deadline(clock, timeoutMs);
    try {
      await this.wait((leader) => leader !== null && !this.isLeader, deadline.remainingMs);
      // What was proposed here is answered here, by what the new leader commits.
      await waiters.until(() => !isAnswering(), deadline.remainingMs, writeTimeout);
      logger.log("info", "Leadership is handed over.");
    } catch (error) {
      if (!isTrivetError(error) || !HAND_OVER_ENDS.includes(error.code)) throw error;
      logger.log("warn", "Leadership could not be handed over in time.", { reason: error.message });
    }
    await this.#linger();
  }

  /** Begins to hand over to `to`, which is known to be fit to lead. Nothing happens if this member does not lead. */
  yieldTo(to: MemberId): void {
    this.#options.consensus.transferLeadership(to);
  }

  /** A hand-over that is under way ends. */
  stop(): void {
    this.#stopping.abort(stopping());
  }

  /** To be called when consensus has moved. */
  progressed(): void {
    this.#report();
    const { consensus, copy } = this.#options;
    const { role, isTransferring } = consensus.raft;
    // Without a copy of the data, a leader can serve nobody.
    if (copy.fault === null || role !== "leader" || isTransferring) return;
    const successor = this.#drawSuccessor();
    // With nobody to hand over to, there is nothing to ask for: this is called again after whatever is asked.
    if (successor === null) return;
    // mark: replica: a leader without a copy of the data hands over
    consensus.transferLeadership(successor);
  }

  /**
   * Requests may be on their way from nodes that have not heard of the new leader. Gone, this node would leave them in doubt; here, it
   * tells them that nothing was done.
   */
  async #linger(): Promise<void> {
    try {
      await pause(this.#options.clock, LINGER_MS, this.#stopping.signal);
    } catch (error) {
      if (!isTrivetError(error, "stopping")) throw error;
    }
  }

  /**
   * Any voter that answers; null if there is none. So early in its term nobody has told this member who has a copy. By chance, because
   * two without one that each chose the best suited voter could choose one another for ever (simulator seed 2502).
   */
  #drawSuccessor(): MemberId | null {
    const { consensus, random } = this.#options;
    const { peers, configuration } = consensus.raft;
    const fit = (peers ?? []).filter(
      ({ member, isActive }) => isActive && configuration.voters.includes(member),
    );
    return fit[Math.floor(random.float() * fit.length)]?.member ?? null;
  }

  #report(): void {
    const { consensus, logger } = this.#options;
    const { role, term, leader } = consensus.raft;
    const report = `${role} ${term} ${leader}`;
    if (report === this.#reported) return;
    this.#reported = report;
    logger.log("info", "Raft state changed.", { role, term, leader });
    if (leader !== null) for (const listener of this.#listeners) listener(leader);
  }
}
