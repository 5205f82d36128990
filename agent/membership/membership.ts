import type { Bus } from "../bus/bus.ts";
import type { Peer } from "../bus/peer-table.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { Deadline } from "../replica/deadline.ts";
import { beginLog, foundCluster, isBlank } from "../replica/found-cluster.ts";
import type { ReplicaOptions } from "../replica/replica.ts";
import { stopping } from "../replica/sql-errors.ts";
import type { SqlService } from "../replica/sql-service.ts";
import { Waiters } from "../replica/waiters.ts";
import type { AgentStatus } from "./agent-status.ts";
import { type DataDirectory, logLost } from "./data-directory.ts";
import { foundOrJoin } from "./founding.ts";
import { Member } from "./member.ts";
import { presenceOf } from "./presence-body.ts";
import { isOfAnotherCluster, statusOf } from "./status.ts";

/** How often this node tells the others its state, at most; the bus sends only what has changed. */
const ANNOUNCE_MS = 500;

/** Longest wait for another voter to take over when this one stops. */
const HAND_OVER_MS = 2_000;

/** A node that could found a cluster alone looks so long for one that is there. */
const DISCOVERY_MS = 3_000;

const CLUSTER_ID_BYTES = 16;

/** Told once each; there are not many honest ones. */
const STRANGERS_MAX = 64;

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
  readonly data: DataDirectory;
  readonly log: ReplicaOptions["log"];
  readonly recovered: ReplicaOptions["recovered"];
  readonly store: ReplicaOptions["store"];
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
  /** Other clusters of our name that the log has told of. */
  readonly #strangers = new Set<string>();
  #member: Member | null = null;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#waiters = new Waiters(options.clock);
    this.#startedMs = options.clock.nowMs();
  }

  /** Resumes, founds or joins; resolves when the node takes part. Rejects with `stopping` if `stop` comes first. */
  async start(): Promise<void> {
    this.#options.bus.onPeer(({ peer }) => this.#reportStranger(peer));
    const { data, bus, clock, logger, recovered, hasSeeds } = this.#options;
    this.#keepAnnouncing();
    if (data.clusterId !== null) {
      if (isBlank(recovered)) throw logLost(data.path, "the log in raft/ is blank");
      logger.log("info", "Resuming.", {
        cluster: data.clusterId,
        lastIndex: recovered.entries.at(-1)?.index ?? 0,
      });
      this.#takePart(data.clusterId, recovered, false);
      return;
    }
    if (this.#options.store.applied.index > 0)
      throw logLost(data.path, "there are databases but no log that made them");
    const { nodeId } = data.identity;
    const { memberId } = data;
    const { signal } = this.#stopping;
    const founded = await foundOrJoin({
      bus,
      nodeId,
      memberId,
      promises: data,
      expect: this.#options.expect,
      discoveryMs: hasSeeds ? DISCOVERY_MS : 0,
      clock,
      logger,
      signal,
    });
    if (founded.kind === "invited") {
      const blank = await beginLog(this.#options.log);
      await data.joinCluster(founded.clusterId);
      logger.log("info", "Joined a cluster.", { cluster: founded.clusterId });
      this.#takePart(founded.clusterId, blank, false);
      return;
    }
    const firstRecovered = await foundCluster(this.#options.log, founded.voters);
    const clusterId = Buffer.from(this.#options.random.bytes(CLUSTER_ID_BYTES)).toString("hex");
    await data.joinCluster(clusterId);
    logger.log("info", "Founded a cluster.", { cluster: clusterId, voters: founded.voters });
    this.#takePart(clusterId, firstRecovered, true);
  }

  /** SQL; while the node has no cluster, requests wait for it until their deadline. */
  get sql(): SqlService {
    return {
      execute: async (statements, options) => {
        const [member, timeoutMs] = await this.#whenMember(options.timeoutMs);
        return member.sql.execute(statements, { ...options, timeoutMs });
      },
      query: async (statements, options) => {
        const [member, timeoutMs] = await this.#whenMember(options.timeoutMs);
        return member.sql.query(statements, { ...options, timeoutMs });
      },
      openSession: async (options) => {
        const [member, timeoutMs] = await this.#whenMember(options.timeoutMs);
        return member.sql.openSession({ timeoutMs });
      },
    };
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
      replica: this.#member?.replica.status() ?? null,
      peers: bus.peers(),
      links: bus.links(),
    });
  }

  /** Before the API closes: gives leadership away, so that no write has to wait for an election. */
  async handOver(): Promise<void> {
    await this.#member?.replica.handOver(HAND_OVER_MS);
  }

  stop(): void {
    this.#stopping.abort();
    this.#waiters.fail(stopping());
    this.#member?.stop();
  }

  #takePart(clusterId: string, recovered: ReplicaOptions["recovered"], isFounder: boolean): void {
    if (this.#stopping.signal.aborted) return;
    const { data, timing, log, store, bus, clock, random, logger, onFailed } = this.#options;
    const { memberId } = data;
    this.#member = new Member({
      clusterId,
      memberId,
      timing,
      recovered,
      isFounder,
      log,
      store,
      bus,
      clock,
      random,
      logger,
      onFailed,
    });
    this.#waiters.changed();
    this.#announce();
  }

  /** Resolves with what is left of the time, too. */
  async #whenMember(timeoutMs: number): Promise<readonly [Member, number]> {
    const deadline = new Deadline(this.#options.clock, timeoutMs);
    await this.#waiters.until(
      () => this.#member !== null,
      timeoutMs,
      () => new TrivetError("no-leader", `Nothing was done: ${this.status().cluster.health}.`),
    );
    if (this.#member === null) throw stopping();
    return [this.#member, deadline.remainingMs];
  }

  #reportStranger(peer: Peer): void {
    const { clusterId } = this.#options.data;
    const other = peer.presence?.clusterId;
    if (other == null || !isOfAnotherCluster(peer, clusterId) || this.#strangers.has(other)) return;
    if (this.#strangers.size >= STRANGERS_MAX) return;
    this.#strangers.add(other);
    this.#options.logger.log(
      "warn",
      "Another cluster has the name of this one: give one of them another --cluster name.",
      {
        node: peer.nodeId,
        cluster: other,
      },
    );
  }

  #keepAnnouncing(): void {
    if (this.#stopping.signal.aborted) return;
    this.#announce();
    this.#options.clock.setTimer(ANNOUNCE_MS, () => this.#keepAnnouncing());
  }

  #announce(): void {
    this.#options.bus.announce(presenceOf(this.status()));
  }
}
