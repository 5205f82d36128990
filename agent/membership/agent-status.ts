/** What `/status` answers: everything is known locally, so it never waits for the cluster. */
export interface AgentStatus {
  readonly version: string;
  readonly node: {
    readonly id: string;
    readonly name: string;
    readonly memberId: string;
    readonly uptimeMs: number;
    /** Base URL of this agent's API; null if it serves none. */
    readonly api: string | null;
    /** URL of the embedded broker; null if off. */
    readonly broker: string | null;
    /** What is wrong with this node and what to do, a sentence each; empty if all is well. */
    readonly troubles: readonly string[];
  };
  readonly cluster: {
    readonly name: string;
    /** Null until the node belongs to one. */
    readonly id: string | null;
    /** One sentence for a person, such as "HA: yes, 3 of 3 voters, tolerates 1 more failure". */
    readonly health: string;
    readonly voters: number;
    readonly votersReachable: number;
    /** How many more voters may fail while writes go on; -1 without a quorum. */
    readonly failuresTolerated: number;
  };
  readonly raft: {
    readonly role: RaftRole;
    readonly term: number;
    readonly leader: { readonly nodeId: string; readonly name: string; readonly api: string | null } | null;
    readonly lastIndex: number;
    readonly commitIndex: number;
    readonly appliedIndex: number;
    /** The database has been at the entries behind `appliedIndex` for so long without an end that this node is of no use. */
    readonly isStuck: boolean;
  };
  readonly members: readonly MemberStatus[];
  readonly links: readonly LinkStatus[];
}

export const RAFT_ROLES = ["waiting", "learner", "follower", "pre-candidate", "candidate", "leader"] as const;
export type RaftRole = (typeof RAFT_ROLES)[number];

export interface MemberStatus {
  readonly nodeId: string;
  readonly memberId: string;
  /** Empty while the node has not been heard of. */
  readonly name: string;
  readonly role: "voter" | "learner";
  readonly reachable: boolean;
  readonly api: string | null;
}

/** A connection of this agent to a broker that agents meet on. */
export interface LinkStatus {
  readonly url: string;
  /** Whose embedded broker it is; null for a site broker, or while unknown. */
  readonly nodeId: string | null;
  readonly up: boolean;
  /** Why it is down; empty if it is up. */
  readonly reason: string;
}
