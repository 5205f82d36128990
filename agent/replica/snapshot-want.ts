import { membersOf } from "../raft/quorum.ts";
import type { Configuration, MemberId } from "../raft/types.ts";
import { nodeIdOf } from "./member-id.ts";

/**
 * Why this member's copy is of no use: the log cannot complete it (`empty`), it differs from the others' (`diverged`), its databases
 * are damaged and it was given up (`damaged`), or some of it is not what was written, and a whole one is on its way (`doubtful`).
 */
export type CopyFault = "empty" | "diverged" | "damaged" | "doubtful";

/** Why another member's copy is needed. Which one will do, and whether it is needed still, is asked again and again. */
export type SnapshotWant =
  /** The log of `leader` begins behind the end of this member's, which had committed up to `commitIndex` when it was said. */
  | { readonly reason: "behind"; readonly leader: MemberId; readonly commitIndex: number }
  | { readonly reason: "empty" }
  /** `judge`: who is known to have the right one, as said when it was found out. Null: the leader has. */
  | { readonly reason: "diverged"; readonly judge: MemberId | null }
  /** Some of it is not what was written. Any member's will do that is whole: others give none. */
  | { readonly reason: "doubtful" };

/** Where the member stands that wants it. */
export interface WantingMember {
  readonly id: MemberId;
  readonly leader: MemberId | null;
  readonly configuration: Configuration;
  /** Where its log begins. */
  readonly baseIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly fault: CopyFault | null;
  /** See `Store.toleratedDamage`. */
  readonly hasDamage: boolean;
}

/** False once the log brings the copy up to date after all: a new leader may have what the old one had not. */
export function isNeeded(want: SnapshotWant, { commitIndex, fault, hasDamage }: WantingMember): boolean {
  switch (want.reason) {
    case "behind":
      return commitIndex <= want.commitIndex;
    case "doubtful":
      return hasDamage;
    case "empty":
    case "diverged":
      return fault !== null;
  }
}

/** An older snapshot is of no use. */
export function minIndexOf(want: SnapshotWant, { baseIndex, appliedIndex }: WantingMember): number {
  if (want.reason === "behind") return appliedIndex + 1;
  // Never back behind what reads have been promised: one may wait for the store already.
  return Math.max(baseIndex, appliedIndex);
}

/** Nodes that may have one, the leader first. What is diverged is replaced by the leader's only: else it may get another wrong one. */
export function sourcesOf(want: SnapshotWant, member: WantingMember): readonly string[] {
  const leader = want.reason === "behind" ? want.leader : member.leader;
  const others = want.reason === "diverged" ? judgesOf(want, member) : membersOf(member.configuration);
  const nodes = [...(leader === null ? [] : [leader]), ...others].map(nodeIdOf);
  // This node may be among the members under an earlier id, too.
  return [...new Set(nodes)].filter((node) => node !== nodeIdOf(member.id));
}

/** Where the member leads itself: the others may all have left since. */
function judgesOf(
  { judge }: Extract<SnapshotWant, { readonly reason: "diverged" }>,
  { id, leader }: WantingMember,
): readonly MemberId[] {
  return leader === id && judge !== null ? [judge] : [];
}
