import type { Peer } from "../../agent/bus/peer-table.ts";
import { nodeIdOf } from "../../agent/replica/member-id.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";

/** What a node has heard of the others, who tell all the time whom they follow: as long as something comes from there. */
export function peersSeenFrom(
  number: number,
  nodes: readonly SimNode[],
  network: SimNetwork,
): ReadonlyMap<string, Peer> {
  const peers = new Map<string, Peer>();
  for (const { number: other, nodeId, memberId, process } of nodes) {
    const replica = process?.replica;
    if (other === number || process == null || replica == null || network.isCut(other, number)) continue;
    const { term, leader, commitIndex: commit } = replica.raft;
    const presence = {
      ...{ name: nodeId, version: "1", memberId, clusterId: process.clusterId },
      ...{ api: null, broker: null, role: "voter" },
      raft: { term, commit, leader: leader === null ? null : nodeIdOf(leader) },
    };
    peers.set(nodeId, { nodeId, session: 1, presence, up: true, suspect: false });
  }
  return peers;
}
