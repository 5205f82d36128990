import { TrivetError } from "../platform/trivet-error.ts";
import type { MemberId } from "../raft/types.ts";

/**
 * A member is one incarnation of a node's Raft data: `<node id>.<8 hex digits>`. The incarnation is random, made
 * with the data directory; so the node that a member lives on is known without asking anyone.
 */
const MEMBER_ID = /^([0-9a-f]{32})\.([0-9a-f]{8})$/;

export function memberIdOf(nodeId: string, incarnation: string): MemberId {
  const memberId = `${nodeId}.${incarnation}`;
  splitMemberId(memberId);
  return memberId;
}

/** Throws `malformed-member-id` for a text that is none. */
export function parseMemberId(text: string): MemberId {
  splitMemberId(text);
  return text;
}

/** The node that a member lives on. */
export function nodeIdOf(member: MemberId): string {
  return splitMemberId(member).nodeId;
}

export function incarnationOf(member: MemberId): string {
  return splitMemberId(member).incarnation;
}

function splitMemberId(member: MemberId): { readonly nodeId: string; readonly incarnation: string } {
  const [, nodeId, incarnation] = MEMBER_ID.exec(member) ?? [];
  if (nodeId === undefined || incarnation === undefined) {
    throw new TrivetError(
      "malformed-member-id",
      `"${member}" is no member id: expected <32 hex digits>.<8 hex digits>.`,
    );
  }
  return { nodeId, incarnation };
}
