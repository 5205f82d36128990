import type { Bus } from "../bus/bus.ts";
import { ClusterObjects, type ObjectLimits } from "../replica/cluster-objects.ts";
import { ClusterSql } from "../replica/cluster-sql.ts";
import { committedPosition } from "../replica/committed-position.ts";
import { CopyCensus } from "../replica/copy-census.ts";
import { DiskKeeper } from "../replica/disk-keeper.ts";
import type { DiskState } from "../replica/disk-state.ts";
import type { DiskWatch } from "../replica/disk-watch.ts";
import { LeaderAccess } from "../replica/leader-access.ts";
import { MemberReports } from "../replica/member-reports.ts";
import type { Transport } from "../replica/ports.ts";
import { Replica, type ReplicaOptions } from "../replica/replica.ts";
import { StoreProgressKeeper } from "../replica/store-progress-keeper.ts";
import { confirmQuorum } from "./confirm-quorum.ts";
import { answerNewcomers } from "./founding.ts";
import { answerReturners, everyoneOf } from "./rejoin.ts";
import { Repairer } from "./repairer.ts";

const CHANGE_TIMEOUT_MS = 8_000;

const DISK_FULL = "The disk is full: entries wait until there is room. Free space on it.";

/** The bus, as a member uses it. */
export type MemberBus = Transport & Pick<Bus, "onPeer">;

/** This node as part of a cluster: its replica, what others may ask it, and what it hears of the others' ends. */
export class Member {
  readonly replica: Replica;
  readonly sql: ClusterSql;
  readonly objects: ClusterObjects;
  readonly #leader: LeaderAccess;
  readonly #stopListening: readonly (() => void)[];

  constructor(
    options: Omit<ReplicaOptions, "transport" | "entryRefusal"> & {
      readonly bus: MemberBus;
      readonly diskWatch: DiskWatch;
      /** Of this process: larger at each start of the node. */
      readonly session: number;
      readonly objectLimits?: ObjectLimits;
    },
  ) {
    const { bus, clusterId, store, clock, diskWatch } = options;
    const disk = (): DiskState => diskWatch.state;
    const entryRefusal = (): string | null => (disk() === "critical" ? DISK_FULL : null);
    this.replica = new Replica({ ...options, entryRefusal, transport: bus });
    this.#leader = new LeaderAccess({ replica: this.replica, transport: bus, clock });
    this.sql = new ClusterSql({ leader: this.#leader, store, clock });
    const { replica } = this;
    this.objects = new ClusterObjects({
      ...{ replica, leader: this.#leader, store, clock },
      ...(options.objectLimits && { limits: options.objectLimits }),
    });
    const parts = { ...options, replica, transport: bus };
    const reports = new MemberReports({ ...parts, disk, digest: () => store.digest });
    const { memberId } = options;
    const census = new CopyCensus({
      ...{ memberId, transport: bus },
      holds: (position) => replica.holds(position),
    });
    replica.members.requireCopies((voters, timeoutMs) => {
      const { raft } = replica;
      return census.isHeldByQuorum({
        configuration: { voters, outgoing: [], learners: [] },
        // Who has not come as far as the entry that made it a member may have nothing yet.
        position: committedPosition(raft, raft.configurationIndex),
        timeoutMs,
      });
    });
    const keeper = new DiskKeeper({ ...parts, disk: diskWatch, reports: () => reports.reports });
    const progress = new StoreProgressKeeper({ ...parts, reports: () => reports.reports });
    const repairer = new Repairer(parts);
    this.#stopListening = [
      () => reports.stop(),
      () => census.stop(),
      () => keeper.stop(),
      () => progress.stop(),
      () => repairer.stop(),
      answerReturners(bus, {
        clusterId,
        leadsIn: (term) => replica.leadership.leadsIn(term),
        members: () => replica.status(),
        confirmQuorum: (withoutNode, timeoutMs) =>
          confirmQuorum({ replica, census, clock }, withoutNode, timeoutMs),
        changeMembers: (members) => replica.members.change(members, CHANGE_TIMEOUT_MS),
      }),
      answerNewcomers(bus, { id: clusterId, isMember: (memberId) => this.#isMember(memberId) }),
      bus.onPeer((event) => {
        // The first sign that the leader died is worth an election: pre-vote fails if the sign was wrong.
        if (event.kind === "suspect" || event.kind === "down") replica.leadership.nodeLost(event.nodeId);
      }),
    ];
  }

  stop(): void {
    for (const stop of this.#stopListening) stop();
    this.#leader.stop();
    this.objects.stop();
    this.replica.stop();
  }

  #isMember(memberId: string): boolean {
    return everyoneOf(this.replica.status()).includes(memberId);
  }
}
