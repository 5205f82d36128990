import type { Bus } from "../bus/bus.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { ClusterObjects } from "../replica/cluster-objects.ts";
import { ClusterSql } from "../replica/cluster-sql.ts";
import { BARRIER } from "../replica/command-draft.ts";
import { Deadline } from "../replica/deadline.ts";
import { DiskKeeper } from "../replica/disk-keeper.ts";
import type { DiskState } from "../replica/disk-state.ts";
import type { DiskWatch } from "../replica/disk-watch.ts";
import { LeaderAccess } from "../replica/leader-access.ts";
import { MemberReports } from "../replica/member-reports.ts";
import type { Transport } from "../replica/ports.ts";
import { Replica, type ReplicaOptions } from "../replica/replica.ts";
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
    },
  ) {
    const { bus, clusterId, store, clock, diskWatch } = options;
    const disk = (): DiskState => diskWatch.state;
    const entryRefusal = (): string | null => (disk() === "critical" ? DISK_FULL : null);
    this.replica = new Replica({ ...options, entryRefusal, transport: bus });
    this.#leader = new LeaderAccess({ replica: this.replica, transport: bus, clock });
    this.sql = new ClusterSql({ leader: this.#leader, store, clock });
    const { replica } = this;
    this.objects = new ClusterObjects({ replica, leader: this.#leader, store, clock });
    const parts = { ...options, replica, transport: bus };
    const reports = new MemberReports({ ...parts, disk, digest: () => store.digest });
    replica.members.requireCopies((voters) => reports.isCopiedBy(voters));
    const keeper = new DiskKeeper({ ...parts, disk: diskWatch, reports: () => reports.reports });
    const repairer = new Repairer(parts);
    /** See `RejoinTarget`: a new entry is committed, and so is everything before it. */
    const confirmQuorum = async (withoutNode: string, timeoutMs: number): Promise<void> => {
      const { position } = await new Deadline(clock, timeoutMs).race(
        replica.proposer.propose(BARRIER, timeoutMs),
        noQuorum,
      );
      if (!reports.isHeldWithout(withoutNode, position.index)) throw noQuorum();
    };
    this.#stopListening = [
      () => reports.stop(),
      () => keeper.stop(),
      () => repairer.stop(),
      answerReturners(bus, {
        clusterId,
        isLeader: () => replica.leadership.isLeader,
        members: () => replica.status(),
        confirmQuorum,
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

function noQuorum(): TrivetError {
  return new TrivetError("no-quorum", "The leader knows of no quorum of the others that holds the data.");
}
