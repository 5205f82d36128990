import type { Configuration, MemberId } from "./types.ts";

/**
 * One configuration after the other (Raft 6).
 *
 *     old  --changeConfiguration-->  joint (both sets decide)  --committed: leaves by itself-->  new
 *
 * A change of learners alone moves no majority and takes one entry.
 */

/** Who is to vote and to listen. */
export interface ConfigurationTarget {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

/** More would not fit into one datagram. */
const MEMBERS_MAX = 256;

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

/** The next entry on the way from `current`, which is not joint, to `target`; or why there is none. */
export function planChange(
  current: Configuration,
  target: ConfigurationTarget,
): Configuration | "invalid-configuration" | "unchanged" {
  const { voters, learners } = target;
  const members = new Set([...voters, ...learners]);
  const isValid =
    voters.length > 0 &&
    members.size === voters.length + learners.length &&
    members.size <= MEMBERS_MAX &&
    !members.has("");
  if (!isValid) return "invalid-configuration";
  if (!isSameSet(current.voters, voters)) return { voters, outgoing: current.voters, learners };
  return isSameSet(current.learners, learners) ? "unchanged" : { voters, outgoing: [], learners };
}

/** The configuration that a joint one leads to. */
export function leaveJoint({ voters, learners }: Configuration): Configuration {
  return { voters, outgoing: [], learners };
}

/** Of lists without repetitions. */
export function isSameSet(one: readonly MemberId[], other: readonly MemberId[]): boolean {
  return one.length === other.length && one.every((member) => other.includes(member));
}
