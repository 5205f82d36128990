import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { DurableLog } from "../../agent/log/durable-log.ts";
import { type Clock, systemClock } from "../../agent/platform/clock.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { systemRandom as random } from "../../agent/platform/random.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { ClusterObjects } from "../../agent/replica/cluster-objects.ts";
import { ClusterSql } from "../../agent/replica/cluster-sql.ts";
import { foundCluster } from "../../agent/replica/found-cluster.ts";
import { LeaderAccess } from "../../agent/replica/leader-access.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import type { Transport } from "../../agent/replica/ports.ts";
import { Replica } from "../../agent/replica/replica.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { Store } from "../../agent/store/store.ts";
import { isStoreEnded } from "../../agent/store/store-failure.ts";
import { MemoryNetwork } from "./memory-network.ts";

const NODES = ["a", "b", "c"].map((letter) => letter.repeat(32));
/** A machine that is busy for a moment must not change the leader, which the tests know. */
const TIMING = { heartbeatMs: 100, electionMs: 1_000, electionMaxMs: 3_000 };
const HAND_OVER_MS = 5_000;
const logger = { log: () => undefined };

export interface ServiceNode {
  readonly nodeId: string;
  /** Of its databases. */
  readonly directory: string;
  readonly replica: Replica;
  readonly store: Store;
  readonly leader: LeaderAccess;
  readonly sql: ClusterSql;
  readonly objects: ClusterObjects;
}

/** Three nodes with all that serves clients: real logs and databases, a network in memory. The first one leads at the start. */
export class ServiceTrio {
  readonly network = new MemoryNetwork(systemClock);
  readonly nodes: ServiceNode[] = [];
  /** So many answers to proposals get lost on their way back. */
  answersToLose = 0;
  /** Called when one got lost, and waited for before anybody is told. */
  onAnswerLost = (): void | Promise<void> => undefined;
  /** How far the wall clocks of all nodes are ahead. */
  wallAheadMs = 0;

  /** `faultyWorker`: of all stores, which may fail then. */
  static async start(t: Test, { faultyWorker }: { readonly faultyWorker?: URL } = {}): Promise<ServiceTrio> {
    const trio = new ServiceTrio();
    const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + trio.wallAheadMs };
    const memberIds = NODES.map((nodeId, nth) => memberIdOf(nodeId, `0000000${nth}`));
    for (const nth of NODES.keys()) {
      const directory = await mkdtemp(join(tmpdir(), "trivet-service-"));
      const onFailed = (error: unknown): void => {
        if (faultyWorker !== undefined && isStoreEnded(error)) trio.#leave(nth);
        else t.fail("no node fails", { error });
      };
      const worker = faultyWorker === undefined ? {} : { workerUrl: faultyWorker };
      const store = await openSqliteStore({ directory, logger, clock, onFailed, ...worker });
      const { log, recovered } = await DurableLog.open({ directory: new MemoryDirectory(), logger });
      const nodeId = NODES[nth] ?? "";
      const transport = trio.#transportOf(nodeId);
      const replica = new Replica({
        entryRefusal: () => null,
        clusterId: "one",
        memberId: memberIds[nth] ?? "",
        timing: TIMING,
        logRetainBytes: 8 * 1024 * 1024,
        recovered: nth === 0 ? await foundCluster(log, memberIds) : recovered,
        isFounder: nth === 0,
        ...{ onFailed, log, store, transport, clock, random, logger },
      });
      const leader = new LeaderAccess({ replica, transport, clock });
      const sql = new ClusterSql({ leader, store, clock });
      const objects = new ClusterObjects({ replica, leader, store, clock });
      trio.nodes.push({ nodeId, directory, replica, store, leader, sql, objects });
      t.teardown(async () => {
        leader.stop();
        objects.stop();
        replica.stop();
        await store.close();
        await rm(directory, { recursive: true });
      });
    }
    return trio;
  }

  get(nth: number): ServiceNode {
    const node = this.nodes[nth];
    if (node === undefined) throw new Error(`there is no node ${nth}`);
    return node;
  }

  /** One that follows the leader of the moment. */
  follower(): ServiceNode {
    const node = this.nodes.find(
      ({ replica }) => replica.leadership.leader !== null && !replica.leadership.isLeader,
    );
    if (node === undefined) throw new Error("nobody follows a leader");
    return node;
  }

  /** Nobody hears anybody. */
  cutAll(): void {
    for (const from of NODES) for (const to of NODES) if (from !== to) this.network.cut(from, to);
  }

  /** As an agent does whose store has failed. */
  #leave(nth: number): void {
    const { replica } = this.get(nth);
    void replica.leadership.handOver(HAND_OVER_MS).then(() => replica.stop());
  }

  #transportOf(nodeId: string): Transport {
    const transport = this.network.transportOf(nodeId);
    return {
      ...transport,
      request: async (toNode, method, body, options) => {
        const answer = await transport.request(toNode, method, body, options);
        if (method !== "command/propose" || this.answersToLose === 0) return answer;
        this.answersToLose--;
        await this.onAnswerLost();
        throw new TrivetError("peer-down", "the answer got lost");
      },
    };
  }
}
