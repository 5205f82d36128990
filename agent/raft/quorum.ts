import type { Configuration, MemberId } from "./types.ts";

/** Decisions of a configuration. While it is joint, both of its sets must agree (Raft 6). */

/** Every member with a vote in either set, each once. */
export function votersOf(configuration: Configuration): ReadonlySet<MemberId> {
  return new Set([...configuration.voters, ...configuration.outgoing]);
}

/** Everyone who gets the log, each once. */
export function membersOf(configuration: Configuration): ReadonlySet<MemberId> {
  return new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners]);
}

/** True if those who answer `true` decide. False for a configuration without voters. */
export function hasQuorum(configuration: Configuration, agrees: (member: MemberId) => boolean): boolean {
  return decidingSets(configuration).every((voters) => count(voters, agrees) >= majority(voters));
}

/** True if the others, without those who answer `true`, are too few to decide. */
export function blocksQuorum(configuration: Configuration, refuses: (member: MemberId) => boolean): boolean {
  return decidingSets(configuration).some(
    (voters) => voters.length - count(voters, refuses) < majority(voters),
  );
}

/**
 * The highest value that a quorum has reached, given a monotone watermark for each voter: the commit index for
 * match indexes, the confirmed round for read contexts. Zero for a configuration without voters.
 */
export function quorumWatermark(
  configuration: Configuration,
  watermark: (member: MemberId) => number,
): number {
  return Math.min(
    ...decidingSets(configuration).map((voters) => {
      const descending = voters.map(watermark).sort((a, b) => b - a);
      return descending[majority(voters) - 1] ?? 0;
    }),
  );
}

/** `voters` stands even when it is empty: a configuration without voters can decide nothing. */
function decidingSets(configuration: Configuration): readonly (readonly MemberId[])[] {
  return configuration.outgoing.length > 0
    ? [configuration.voters, configuration.outgoing]
    : [configuration.voters];
}

function majority(voters: readonly MemberId[]): number {
  return Math.floor(voters.length / 2) + 1;
}

function count(voters: readonly MemberId[], holds: (member: MemberId) => boolean): number {
  return voters.filter(holds).length;
}
