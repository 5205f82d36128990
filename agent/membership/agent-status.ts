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
    /** Those with a vote, and how many of them are there: while the voters are being changed, of the set that is worse off. */
    readonly voters: number;
    readonly votersReachable: number;
    /** How many more voters may fail while writes go on; -1 without a quorum. */
    readonly failuresTolerated: number;
  };
  readonly raft: {
    readonly role: RaftRole;
    readonly term: number;
    readonly leader: { readonly nodeId: string; readonly name: string; readonly api: string | null } | null;
    /** First entry of the retained log; `lastIndex + 1` if it is empty. */
    readonly firstIndex: number;
    readonly lastIndex: number;
    /** What the retained log weighs. */
    readonly logBytes: number;
    readonly commitIndex: number;
    readonly appliedIndex: number;
    /** The database has been at the entries behind `appliedIndex` for so long without an end that this node is of no use. */
    readonly isStuck: boolean;
    /** In force: as configured, or slower, as links and disks were measured. */
    readonly heartbeatMs: number;
    readonly electionTimeoutMs: number;
    /** The copy of another node that is on its way here. */
    readonly snapshot: SnapshotStatus | null;
    /** Why this node's copy is not served until a fresh one is there: it is incomplete, differs from the others', or is damaged. */
    readonly copyFault: "empty" | "diverged" | "damaged" | "doubtful" | null;
    /** What was found damaged in this node's copy, which it serves until another node gives it a whole one; null if nothing was. */
    readonly copyDamage: string | null;
  };
  readonly members: readonly MemberStatus[];
  readonly links: readonly LinkStatus[];
}

export interface SnapshotStatus {
  /** Node id of its source. */
  readonly from: string;
  /** Log index that it brings. */
  readonly index: number;
  readonly receivedBytes: number;
  readonly totalBytes: number;
  /** It waits until there is room on the disk. */
  readonly isPaused: boolean;
}

export const RAFT_ROLES = ["waiting", "learner", "follower", "pre-candidate", "candidate", "leader"] as const;
export type RaftRole = (typeof RAFT_ROLES)[number];

export interface MemberStatus {
  readonly nodeId: string;
  readonly memberId: string;
  /** Empty while the node has not been heard of. */
  readonly name: string;
  /** `outgoing`: it votes until the change of the members that is under way is done. */
  readonly role: "voter" | "outgoing" | "learner";
  readonly reachable: boolean;
  readonly api: string | null;
  /** What this node knows of the member's log, if it leads; null if not, and of itself. */
  readonly replication: ReplicationStatus | null;
}

export interface ReplicationStatus {
  /** Everything up to here is durable there. */
  readonly matchIndex: number;
  /** It is looked for where the logs agree; it gets entries; it needs a snapshot. */
  readonly state: "probe" | "replicate" | "snapshot";
  /** It has answered within the last election timeout. */
  readonly isActive: boolean;
  /** Null until it is measured. */
  readonly rttMs: number | null;
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
