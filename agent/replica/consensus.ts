import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError } from "../platform/trivet-error.ts";
import type { ConfigurationTarget } from "../raft/configuration-change.ts";
import type { RestoredSnapshot } from "../raft/core.ts";
import type { ChangeRefusal, ProposeResult } from "../raft/leader.ts";
import type { Timing } from "../raft/pace.ts";
import { votersOf } from "../raft/quorum.ts";
import { Raft } from "../raft/raft.ts";
import { DEFAULT_RAFT_LIMITS, type RaftLimits } from "../raft/raft-limits.ts";
import type { Entry, HardState, MemberId, PlacedConfiguration } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";
import { type EntryWait, LogWrites } from "./log-writes.ts";
import { nodeIdOf } from "./member-id.ts";
import { decodeMessage, encodeMessage } from "./message-codec.ts";
import type { ReplicaLog, Transport } from "./ports.ts";
import { RaftTime } from "./raft-time.ts";

/**
 * The kind of datagrams that members of one cluster exchange. Two clusters may meet that claim the same node (both
 * founded by newcomers that did not see each other): neither may hear the other's votes and entries.
 */
function datagramKindOf(clusterId: string): string {
  return `raft/${clusterId.slice(0, 16)}`;
}

export interface ConsensusOptions {
  readonly clusterId: string;
  readonly memberId: MemberId;
  readonly timing: Timing;
  readonly raftLimits?: RaftLimits;
  /** What the durable log held at the start, its commit raised to what the store holds. */
  readonly recovered: {
    readonly base: { readonly index: number; readonly term: number };
    readonly entries: readonly Entry[];
    readonly hardState: HardState;
  };
  /** The last one that the store has applied. */
  readonly configuration: PlacedConfiguration;
  /** This member has just founded the cluster: nobody else can lead it. */
  readonly isFounder: boolean;
  readonly log: ReplicaLog;
  /** See `LogWrites`. */
  readonly entryRefusal: () => string | null;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called after every batch of inputs: role, leader, term or the indexes may have changed. */
  readonly onProgress: () => void;
  /** The leader says that this member needs a snapshot. Comes again until it has one. */
  readonly onSnapshotNeeded: (leader: MemberId) => void;
  /** The log stands on a snapshot that `restore` told of, durably. */
  readonly onRestored: (position: LogPosition) => void;
  readonly onRead: (id: number, index: number | null) => void;
  /** The disk failed or an invariant broke: the agent must stop. */
  readonly onFailed: (error: unknown) => void;
}

/**
 * Runs a `Raft` in the world: datagrams, time and finished writes go in, its effects become I/O.
 *
 * Inputs that come together are taken together: each only marks the pump as due, which runs once after the I/O events
 * that are ready. So a burst of proposals is one append and one sync.
 */
export class Consensus {
  readonly #options: ConsensusOptions;
  readonly #raft: Raft;
  readonly #time: RaftTime;
  readonly #writes: LogWrites;
  readonly #nodeId: string;
  readonly #datagramKind: string;
  readonly #stopListening: () => void;
  #isPumpDue = false;
  #isStopped = false;
  #timer: { readonly dueMs: number; readonly timer: Timer } | null = null;

  constructor(options: ConsensusOptions) {
    const { memberId, timing, recovered, configuration, clock, random, transport } = options;
    const limits = options.raftLimits ?? DEFAULT_RAFT_LIMITS;
    this.#options = options;
    this.#nodeId = nodeIdOf(memberId);
    this.#datagramKind = datagramKindOf(options.clusterId);
    this.#time = new RaftTime({ nowMs: clock.nowMs(), slackMs: timing.heartbeatMs });
    this.#raft = new Raft({
      ...{ id: memberId, timing, limits, random: () => random.float(), configuration },
      ...recovered,
    });
    this.#writes = new LogWrites({
      ...options,
      onPersisted: (sequence) => this.#input(() => this.#raft.persisted(sequence)),
      onHardStatePersisted: (sequence) => this.#input(() => this.#raft.hardStatePersisted(sequence)),
      commit: recovered.hardState.commit,
      onFailed: (error) => this.#fail(error),
    });
    this.#stopListening = transport.onDatagram(this.#datagramKind, (from, body) => this.#receive(from, body));
    const voters = votersOf(this.#raft.configuration);
    if (options.isFounder || (voters.size === 1 && voters.has(memberId))) this.#raft.campaignAtOnce();
    this.#schedulePump();
  }

  /** The state machine, to be read only. */
  get raft(): Pick<
    Raft,
    | "id"
    | "role"
    | "term"
    | "leader"
    | "lastIndex"
    | "commitIndex"
    | "applicableIndex"
    | "configuration"
    | "isVoter"
    | "isTransferring"
    | "entries"
    | "termAt"
    | "holds"
    | "base"
    | "firstIndex"
    | "logBytes"
    | "configurationIndex"
    | "peers"
    | "timing"
  > {
    return this.#raft;
  }

  /** See `LogWrites.wait`. */
  get entryWait(): EntryWait | null {
    return this.#writes.wait;
  }

  propose(command: Uint8Array): ProposeResult {
    return this.#input(() => this.#raft.propose(command));
  }

  /** False: this member does not lead. Else the answer comes through `onRead`. */
  read(id: number): boolean {
    return this.#input(() => this.#raft.read(id));
  }

  /** The position of an entry that the leader says is committed. */
  learnCommitted(position: LogPosition): void {
    this.#input(() => this.#raft.learnCommitted(position));
  }

  changeConfiguration(target: ConfigurationTarget): ProposeResult<ChangeRefusal> {
    return this.#input(() => this.#raft.changeConfiguration(target));
  }

  /** Forgets the entries up to `base`, which the store holds durably, in memory and on the disk. See `LogWrites.compact`. */
  async compact(base: LogPosition): Promise<void> {
    if (this.#isStopped || base.index <= this.#raft.base.index) return;
    this.#input(() => this.#raft.compact(base));
    await this.#writes.compact(base);
  }

  /** See `Raft.restore`. */
  restore(snapshot: RestoredSnapshot): boolean {
    return this.#input(() => this.#raft.restore(snapshot));
  }

  transferLeadership(to: MemberId | null): boolean {
    return this.#input(() => this.#raft.transferLeadership(to));
  }

  /** See `Raft.leaderLost`. */
  leaderLost(leader: MemberId, delayMs: number): void {
    this.#input(() => this.#raft.leaderLost(leader, delayMs));
  }

  /** Takes no input and has no effect from now on. */
  stop(): void {
    this.#isStopped = true;
    this.#stopListening();
    this.#writes.stop();
    this.#timer?.timer.cancel();
  }

  #receive(fromNode: string, body: Uint8Array): void {
    try {
      const message = decodeMessage(body, fromNode, this.#nodeId);
      // An earlier incarnation of this node may still be spoken to: it is gone.
      if (message.to !== this.#raft.id) return;
      this.#input(() => this.#raft.step(message));
    } catch (error) {
      if (!isTrivetError(error)) {
        this.#fail(error);
        return;
      }
      this.#options.logger.log("warn", "A datagram was dropped.", { from: fromNode, reason: error.message });
    }
  }

  /** Every input to raft goes through here: time first, effects soon, and a broken invariant stops all. */
  #input<Result>(act: () => Result): Result {
    try {
      this.#raft.advance(this.#advance());
      const result = act();
      this.#schedulePump();
      return result;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #advance(): number {
    return this.#time.advance(this.#options.clock.nowMs(), this.#raft.deadlineMs);
  }

  #schedulePump(): void {
    if (this.#isPumpDue || this.#isStopped) return;
    this.#isPumpDue = true;
    this.#options.clock.defer(() => this.#pump());
  }

  #pump(): void {
    this.#isPumpDue = false;
    if (this.#isStopped) return;
    try {
      const nowMs = this.#advance();
      this.#raft.tick(nowMs);
      const { messages, write, reads, snapshotFrom } = this.#raft.takeEffects();
      for (const message of messages) {
        this.#options.transport.send(nodeIdOf(message.to), this.#datagramKind, encodeMessage(message));
      }
      if (write !== null) this.#writes.write(write);
      for (const { id, index } of reads) this.#options.onRead(id, index);
      if (snapshotFrom !== null) this.#options.onSnapshotNeeded(snapshotFrom);
      this.#options.onProgress();
      // What it led to may have stopped this member.
      if (!this.#isStopped) this.#setTimer(nowMs);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Deadlines mostly move away; a timer that fires early costs less than one that is set anew each time. */
  #setTimer(nowMs: number): void {
    const { deadlineMs } = this.#raft;
    if (this.#timer !== null) {
      if (this.#timer.dueMs <= deadlineMs) return;
      this.#timer.timer.cancel();
    }
    const timer = this.#options.clock.setTimer(Math.max(1, deadlineMs - nowMs), () => {
      this.#timer = null;
      // Not at once: after a stall, what the others sent meanwhile is read first.
      this.#schedulePump();
    });
    this.#timer = { dueMs: deadlineMs, timer };
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    this.stop();
    this.#options.onFailed(error);
  }
}
