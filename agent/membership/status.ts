import type { Peer } from "../bus/peer-table.ts";
import { nodeIdOf } from "../replica/member-id.ts";
import { isStuck, type ReplicaStatus } from "../replica/replica-status.ts";
import type { AgentStatus, LinkStatus, MemberStatus } from "./agent-status.ts";
import { type Health, healthOf } from "./health.ts";
import { mayStandIn, TROUBLES, type Trouble, type TroubleCode, troubleCodesOf } from "./trouble.ts";

export interface StatusInput {
  readonly node: {
    readonly version: string;
    readonly name: string;
    readonly api: string | null;
    readonly broker: string | null;
  };
  readonly identity: { readonly id: string; readonly memberId: string };
  readonly uptimeMs: number;
  readonly clusterName: string;
  readonly clusterId: string | null;
  readonly expect: number;
  /** Of this node. */
  readonly troubles: readonly Trouble[];
  /** Null until the node takes part in a cluster. */
  readonly replica: ReplicaStatus | null;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly links: readonly LinkStatus[];
}

/** Puts together what the parts know. Pure. */
export function statusOf(input: StatusInput): AgentStatus {
  const { version, name, api, broker } = input.node;
  const members = membersStatus(input);
  const { replica } = input;
  return {
    version,
    node: {
      ...input.identity,
      name,
      uptimeMs: Math.round(input.uptimeMs),
      api,
      broker,
      troubles: input.troubles.map(({ text }) => text),
    },
    cluster: {
      name: input.clusterName,
      id: input.clusterId,
      ...withTroubles(input, clusterHealth(input, members)),
    },
    raft: {
      role: replica?.role ?? "waiting",
      term: replica?.term ?? 0,
      leader: leaderStatus(replica?.leader ?? null, members),
      firstIndex: replica?.firstIndex ?? 1,
      lastIndex: replica?.lastIndex ?? 0,
      logBytes: replica?.logBytes ?? 0,
      commitIndex: replica?.commitIndex ?? 0,
      appliedIndex: replica?.appliedIndex ?? 0,
      isStuck: replica !== null && isStuck(replica),
      heartbeatMs: Math.round(replica?.timing.heartbeatMs ?? 0),
      electionTimeoutMs: Math.round(replica?.timing.electionMs ?? 0),
      snapshot: snapshotStatus(replica),
      copyFault: replica?.copyFault ?? null,
      copyDamage: replica?.copyDamage ?? null,
    },
    members,
    links: input.links,
  };
}

/** Adds to the sentence what is wrong besides. */
function withTroubles(input: StatusInput, health: Health): Health {
  const troubles = input.troubles.map(({ code, text }) => `this node ${TROUBLES[code]}: ${text}`);
  for (const peer of input.peers.values()) {
    const name = peer.presence?.name || peer.nodeId.slice(0, 8);
    troubles.push(...troubleCodesOf(peer).map((code) => `${name} ${TROUBLES[code]}`));
  }
  const strangers = [...input.peers.values()].filter((peer) => isOfAnotherCluster(peer, input.clusterId));
  for (const { nodeId, presence } of strangers) {
    troubles.push(`${presence?.name || nodeId.slice(0, 8)} is in another cluster of this name`);
  }
  return { ...health, health: [health.health, ...troubles].join("; ") };
}

/** True if the node belongs to a cluster of our name that is not ours. */
export function isOfAnotherCluster({ up, presence }: Peer, clusterId: string | null): boolean {
  return up && clusterId !== null && presence?.clusterId != null && presence.clusterId !== clusterId;
}

function clusterHealth(input: StatusInput, members: readonly MemberStatus[]): Health {
  const { replica } = input;
  if (replica === null || replica.voters.length === 0) {
    const up = [...input.peers.values()].filter((peer) => peer.up).length + 1;
    const isDamaged = input.troubles.some(({ code }) => code === "damaged");
    const health = isDamaged
      ? "damaged: this node takes no part in its cluster"
      : input.clusterId === null
        ? `waiting: ${up} of ${input.expect} nodes are here to found a cluster`
        : "waiting: this node has joined a cluster and has not heard from its leader yet";
    return { health, voters: 0, votersReachable: 0, failuresTolerated: -1 };
  }
  const healthOfSet = (set: readonly string[]): Health => {
    const voters = members.filter(({ memberId }) => set.includes(memberId));
    const reachable = voters.filter((voter) => voter.reachable);
    return healthOf({
      reachable: reachable.map(nameOf),
      troubled: reachable.filter(({ nodeId }) => !mayStandIn(troubleCodesAt(input, nodeId))).length,
      unreachable: voters.filter(({ reachable }) => !reachable).map(nameOf),
      hasLeader: replica.leader !== null,
    });
  };
  const next = healthOfSet(replica.voters);
  if (replica.outgoing.length === 0) return next;
  // Both sets must agree on everything until the change is done.
  const before = healthOfSet(replica.outgoing);
  const worse = before.failuresTolerated < next.failuresTolerated ? before : next;
  return { ...worse, health: `${worse.health}; the voters are being changed` };
}

function troubleCodesAt({ identity, troubles, peers }: StatusInput, nodeId: string): readonly TroubleCode[] {
  if (nodeId === identity.id) return troubles.map(({ code }) => code);
  const peer = peers.get(nodeId);
  return peer === undefined ? [] : troubleCodesOf(peer);
}

function nameOf({ name, nodeId }: MemberStatus): string {
  return name || nodeId.slice(0, 8);
}

function membersStatus({ replica, node, identity, clusterId, peers }: StatusInput): readonly MemberStatus[] {
  if (replica === null) return [];
  const toStatus = (memberId: string, role: MemberStatus["role"]): MemberStatus => {
    const nodeId = nodeIdOf(memberId);
    if (memberId === identity.memberId)
      return { nodeId, memberId, name: node.name, role, reachable: true, api: node.api, replication: null };
    const peer = peers.get(nodeId);
    const { name = "", api = null } = peer?.presence ?? {};
    // The node may be there with another member (this one's log, and so its vote, is lost) or in another cluster.
    const isSame = peer?.presence?.memberId === memberId && peer.presence.clusterId === clusterId;
    const reachable = peer?.up === true && isSame;
    return {
      nodeId,
      memberId,
      name,
      role,
      reachable,
      api,
      replication: replicationStatus(replica, memberId),
    };
  };
  const { voters, outgoing } = replica;
  return [
    ...voters.map((voter) => toStatus(voter, "voter")),
    ...outgoing.filter((voter) => !voters.includes(voter)).map((voter) => toStatus(voter, "outgoing")),
    ...replica.learners.map((learner) => toStatus(learner, "learner")),
  ];
}

function replicationStatus({ peers }: ReplicaStatus, memberId: string): MemberStatus["replication"] {
  const peer = peers?.find(({ member }) => member === memberId);
  if (peer === undefined) return null;
  const { match: matchIndex, state, isActive, rttMs } = peer;
  return { matchIndex, state, isActive, rttMs: rttMs === null ? null : Math.round(rttMs * 10) / 10 };
}

function snapshotStatus(replica: ReplicaStatus | null): AgentStatus["raft"]["snapshot"] {
  if (replica === null || replica.snapshot === null) return null;
  const { source, position, ...progress } = replica.snapshot;
  return { from: source, index: position.index, ...progress };
}

function leaderStatus(
  leader: string | null,
  members: readonly MemberStatus[],
): AgentStatus["raft"]["leader"] {
  if (leader === null) return null;
  const nodeId = nodeIdOf(leader);
  const member = members.find((each) => each.memberId === leader);
  return { nodeId, name: member?.name || nodeId.slice(0, 8), api: member?.api ?? null };
}
