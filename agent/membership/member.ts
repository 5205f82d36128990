import type { Bus } from "../bus/bus.ts";
import { ClusterObjects } from "../replica/cluster-objects.ts";
import { ClusterSql } from "../replica/cluster-sql.ts";
import { LeaderAccess } from "../replica/leader-access.ts";
import { Replica, type ReplicaOptions } from "../replica/replica.ts";
import { answerNewcomers } from "./founding.ts";

/** This node as part of a cluster: its replica, what others may ask it, and what it hears of the others' ends. */
export class Member {
  readonly replica: Replica;
  readonly sql: ClusterSql;
  readonly objects: ClusterObjects;
  readonly #leader: LeaderAccess;
  readonly #stopListening: readonly (() => void)[];

  constructor(options: Omit<ReplicaOptions, "transport"> & { readonly bus: Bus }) {
    const { bus, clusterId, store, clock } = options;
    this.replica = new Replica({ ...options, transport: bus });
    this.#leader = new LeaderAccess({ replica: this.replica, transport: bus, clock });
    this.sql = new ClusterSql({ leader: this.#leader, store, clock });
    this.objects = new ClusterObjects({ leader: this.#leader, store, clock });
    this.#stopListening = [
      answerNewcomers(bus, { id: clusterId, isMember: (memberId) => this.#isMember(memberId) }),
      bus.onPeer((event) => {
        // The first sign that the leader died is worth an election: pre-vote fails if the sign was wrong.
        if (event.kind === "suspect" || event.kind === "down") this.replica.nodeLost(event.nodeId);
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
    const { voters, learners } = this.replica.status();
    return voters.includes(memberId) || learners.includes(memberId);
  }
}
