import type { Bus } from "../bus/bus.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { alignLog } from "../replica/align-log.ts";
import { Deadline } from "../replica/deadline.ts";
import type { DiskWatch } from "../replica/disk-watch.ts";
import { beginLog, isBlank } from "../replica/found-cluster.ts";
import type { ObjectsService } from "../replica/objects-service.ts";
import type { ReplicaOptions } from "../replica/replica.ts";
import { stopping } from "../replica/sql-errors.ts";
import type { SqlService } from "../replica/sql-service.ts";
import { Waiters } from "../replica/waiters.ts";
import type { AgentStatus } from "./agent-status.ts";
import type { DataDirectory } from "./data-directory.ts";
import { establishCluster } from "./establish-cluster.ts";
import { foundOrJoin } from "./founding.ts";
import { Member } from "./member.ts";
import { type Damage, type MemberStorage, openSoundStorage, type Storage } from "./open-storage.ts";
import { presenceOf } from "./presence-body.ts";
import { everyoneOf, incarnationsOf, untilMember } from "./rejoin.ts";
import { statusOf } from "./status.ts";
import { Strangers } from "./strangers.ts";
import { type Trouble, troublesOf } from "./trouble.ts";
import { objectsOf, sqlOf } from "./waiting-services.ts";

/** How often this node tells the others its state, at most; the bus sends only what has changed. */
const ANNOUNCE_MS = 500;

/** Longest wait for another voter to take over when this one stops. */
const HAND_OVER_MS = 2_000;

/** A node that could found a cluster alone looks so long for one that is there. */
const DISCOVERY_MS = 3_000;

export interface MembershipOptions {
  readonly node: {
    readonly version: string;
    readonly name: string;
    readonly broker: string | null;
    /** Known once the API listens. */
    readonly api: () => string | null;
  };
  readonly clusterName: string;
  readonly expect: number;
  /** Brokers to meet others on are configured. */
  readonly hasSeeds: boolean;
  readonly timing: ReplicaOptions["timing"];
  readonly logRetainBytes: ReplicaOptions["logRetainBytes"];
  readonly data: DataDirectory;
  readonly storage: MemberStorage;
  /** Of the file system that the data is on. */
  readonly diskWatch: DiskWatch;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The agent must stop. */
  readonly onFailed: (error: unknown) => void;
}

/** Brings the node into its cluster, runs its part there, and tells what it is. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #waiters: Waiters;
  readonly #stopping = new AbortController();
  readonly #startedMs: number;
  readonly #strangers: Strangers;
  #stopListening: (() => void) | null = null;
  #timer: Timer | null = null;
  #member: Member | null = null;
  #damage: Damage | null = null;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#waiters = new Waiters(options.clock);
    this.#startedMs = options.clock.nowMs();
    this.#strangers = new Strangers(options.logger);
  }

  /** Resumes, founds or joins; resolves when the node takes part. Rejects with `stopping` if `stop` comes first. */
  async start(): Promise<void> {
    const { bus, data } = this.#options;
    this.#stopListening = bus.onPeer(({ peer }) => this.#strangers.meet(peer, data.clusterId));
    this.#keepAnnouncing();
    await this.#begin();
  }

  /** SQL; while the node has no cluster, requests wait for it until their deadline. */
  get sql(): SqlService {
    return sqlOf((timeoutMs) => this.#whenMember(timeoutMs));
  }

  /** The cluster's objects; as `sql`, and a watch waits, too. */
  get objects(): ObjectsService {
    return objectsOf((timeoutMs) => this.#whenMember(timeoutMs));
  }

  /** Null while this node takes no part, or is about to take none any more. */
  get #present(): Member | null {
    return this.#damage === null ? this.#member : null;
  }

  /** From what is known here and now: never waits. */
  status(): AgentStatus {
    const { node, clusterName, expect, data, bus, clock } = this.#options;
    return statusOf({
      node: { ...node, api: node.api() },
      identity: { id: data.identity.nodeId, memberId: data.memberId },
      uptimeMs: clock.nowMs() - this.#startedMs,
      clusterName,
      clusterId: data.clusterId,
      expect,
      troubles: this.#troubles(),
      replica: this.#present?.replica.status() ?? null,
      peers: bus.peers(),
      links: bus.links(),
    });
  }

  /** Before the API closes: gives leadership away, so that no write has to wait for an election. */
  async handOver(): Promise<void> {
    await this.#member?.replica.leadership.handOver(HAND_OVER_MS);
  }

  stop(): void {
    this.#stopping.abort();
    this.#stopListening?.();
    this.#timer?.cancel();
    this.#waiters.fail(stopping());
    this.#member?.stop();
  }

  /** With what the node has, or finds. */
  async #begin(): Promise<void> {
    const { storage, data, bus, clock, random, logger } = this.#options;
    const { signal } = this.#stopping;
    const onFailed = (error: unknown): void => this.#failed(error);
    const open = (): Promise<Storage> => storage.open({ onFailed });
    const onDamage = (damage: Damage | null): void => {
      this.#damage = damage;
    };
    const opened = await openSoundStorage({ open, data, bus, clock, random, logger, signal, onDamage });
    if (data.clusterId === null) await this.#findCluster(opened);
    else await this.#resume(opened, data.clusterId);
  }

  /** While the node takes part. The same failure may be told by several of its parts. */
  #failed(error: unknown): void {
    const { data, onFailed } = this.#options;
    if (!isTrivetError(error, "store-damaged") || this.#member === null) {
      onFailed(error);
      return;
    }
    if (this.#damage !== null) return;
    const isLogWhole = this.#member.replica.status().firstIndex === 1;
    // Nothing takes their place: the next start serves what can be read of them.
    if (!data.hasCompanions && !isLogWhole) {
      onFailed(error);
      return;
    }
    this.#damage = { error, waitsFor: "this node stops using it" };
    this.#replaceDatabases(this.#member, error).catch((reason: unknown) => {
      if (!this.#stopping.signal.aborted) onFailed(reason);
    });
  }

  /** The databases were found to be damaged while they were at work: as a start does that finds them so. */
  async #replaceDatabases(member: Member, { message }: TrivetError): Promise<void> {
    const { storage, data } = this.#options;
    // mark: membership: damaged databases are replaced while the agent runs
    this.#announce();
    member.replica.leaveStore();
    await Promise.all([data.noteDamage(message), member.replica.leadership.handOver(HAND_OVER_MS)]);
    member.stop();
    this.#member = null;
    await storage.close();
    if (this.#stopping.signal.aborted) return;
    await this.#begin();
  }

  async #resume(storage: Storage, clusterId: string): Promise<void> {
    const { data, logger } = this.#options;
    // Only a new incarnation of a member that was damaged may come with nothing.
    const isNew = isBlank(storage.recovered);
    invariant(!isNew || data.mayBeBlank, "the log of a member is blank");
    const recovered = isNew ? await beginLog(storage.log) : await alignLog(storage);
    await data.beganLog();
    const lastIndex = recovered.entries.at(-1)?.index ?? recovered.base.index;
    logger.log("info", "Resuming.", { cluster: clusterId, lastIndex });
    this.#takePart(clusterId, { ...storage, recovered }, false);
    if (data.isRejoining) await this.#rejoin(clusterId);
  }

  /** Until the leader has taken this member for the one that was damaged. */
  async #rejoin(clusterId: string): Promise<void> {
    const { data, bus, clock, logger } = this.#options;
    const { nodeId } = data.identity;
    const { signal } = this.#stopping;
    const onWait = (reason: string): void => logger.log("debug", "Not a member yet.", { reason });
    await untilMember({ bus, nodeId, clusterId, clock, signal, onWait }, data.memberId);
    logger.log("info", "The cluster has taken this node back as a new member.", { member: data.memberId });
  }

  async #findCluster({ log, store }: Storage): Promise<void> {
    const { data, bus, clock, logger, random, hasSeeds, expect } = this.#options;
    const founded = await foundOrJoin({
      bus,
      nodeId: data.identity.nodeId,
      memberId: data.memberId,
      promises: data,
      expect,
      discoveryMs: hasSeeds ? DISCOVERY_MS : 0,
      clock,
      logger,
      signal: this.#stopping.signal,
    });
    if (founded.kind === "invited") {
      const recovered = await beginLog(log);
      await data.joinCluster(founded.clusterId, true);
      logger.log("info", "Joined a cluster.", { cluster: founded.clusterId });
      this.#takePart(founded.clusterId, { log, store, recovered }, false);
      return;
    }
    const { clusterId, recovered } = await establishCluster({ ...founded, log, data, clock, random });
    logger.log("info", "Founded a cluster.", { cluster: clusterId, voters: founded.voters });
    this.#takePart(clusterId, { log, store, recovered }, true);
  }

  #takePart(clusterId: string, storage: Storage, isFounder: boolean): void {
    if (this.#stopping.signal.aborted) return;
    const { data, timing, logRetainBytes, diskWatch, bus, clock, random, logger } = this.#options;
    const { memberId } = data;
    this.#member = new Member({
      clusterId,
      memberId,
      session: data.session,
      timing,
      logRetainBytes,
      ...storage,
      diskWatch,
      isFounder,
      bus,
      clock,
      random,
      logger,
      onFailed: (error) => this.#failed(error),
    });
    this.#damage = null;
    this.#waiters.changed();
    this.#announce();
  }

  /** Resolves with what is left of the time, too. */
  async #whenMember(timeoutMs: number): Promise<readonly [Member, number]> {
    if (this.#damage !== null) throw damaged(this.#damage);
    const deadline = new Deadline(this.#options.clock, timeoutMs);
    await this.#waiters.until(
      () => this.#member !== null,
      timeoutMs,
      () => new TrivetError("no-leader", `Nothing was done: ${this.status().cluster.health}.`),
    );
    if (this.#member === null) throw stopping();
    return [this.#member, deadline.remainingMs];
  }

  #keepAnnouncing(): void {
    this.#announce();
    this.#noteMembers().catch((error: unknown) => {
      // The disk may be full. It is said again, and tried again, with the next round.
      this.#options.logger.log("debug", "What is known of the members could not be written.", {
        reason: error,
      });
    });
    this.#timer = this.#options.clock.setTimer(ANNOUNCE_MS, () => this.#keepAnnouncing());
  }

  /** What the next start must know if the log cannot be read then; and what need not be kept any more. */
  async #noteMembers(): Promise<void> {
    const { data } = this.#options;
    const status = this.#member?.replica.status();
    if (status === undefined) return;
    const members = everyoneOf(status);
    if (members.length > 0) await data.noteCompanions(members.some((member) => member !== data.memberId));
    // Once the member that was damaged is none any more, this one has its place.
    const ours = incarnationsOf(status, data.identity.nodeId);
    if (ours.length === 1 && ours[0] === data.memberId) await data.tookPlace();
    if (!data.isRejoining && this.#member?.replica.hasWholeCopy === true) await data.becameWhole();
  }

  #announce(): void {
    this.#options.bus.announce(presenceOf(this.status(), this.#troubles()));
  }

  #troubles(): readonly Trouble[] {
    const { data, diskWatch } = this.#options;
    return troublesOf({
      damage: this.#damage,
      isRejoining: data.isRejoining,
      disk: diskWatch,
      replica: this.#member?.replica.status() ?? null,
    });
  }
}

function damaged({ error, waitsFor }: Damage): TrivetError {
  return new TrivetError(
    "damaged",
    `Nothing was done: the data of this node is damaged, and it waits for a fresh copy (${waitsFor}). Ask another node.`,
    { cause: error },
  );
}
