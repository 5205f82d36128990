import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { membersOf } from "../raft/quorum.ts";
import {
  type Configuration,
  type MemberId,
  NO_CONFIGURATION,
  type PlacedConfiguration,
} from "../raft/types.ts";
import type { StoredConfiguration } from "../store/types.ts";
import { asArray, asString } from "./wire-fields.ts";

/** Ids that are remembered. The incarnation in an id is random, so that one who left so long ago does not come back by chance. */
export const RETIRED_MAX = 4096;

/**
 * The membership as the store keeps it and snapshots carry it: who belongs to the cluster, and who ever left. An id that left
 * stands for a vote that may be lost, and must never come back (design: a member is one incarnation).
 */
export interface MembershipRecord {
  readonly configuration: Configuration;
  /** In the order in which they left; never members of `configuration`. */
  readonly retired: readonly MemberId[];
}

/**
 * The record once `configuration` is applied on top of `before`, null if it is the first. Depends on nothing else, so that
 * all nodes come to the same. While a configuration is joint, those who are to leave still belong to it.
 */
export function nextRecord(before: MembershipRecord | null, configuration: Configuration): MembershipRecord {
  const members = membersOf(configuration);
  const left = before === null ? [] : [...membersOf(before.configuration)].filter((id) => !members.has(id));
  const retired = [...(before?.retired ?? []).filter((id) => !members.has(id)), ...left];
  return { configuration, retired: retired.slice(-RETIRED_MAX) };
}

/** `[voters, outgoing, learners, retired]` */
export function encodeRecord({ configuration, retired }: MembershipRecord): Uint8Array {
  const { voters, outgoing, learners } = configuration;
  return encodeCbor([voters, outgoing, learners, retired]);
}

/** Throws `malformed-datagram` or `malformed-cbor`. */
export function decodeRecord(bytes: Uint8Array): MembershipRecord {
  const [voters, outgoing, learners, retired] = asArray(decodeCbor(bytes)).map((list) =>
    asArray(list).map(asString),
  );
  return {
    configuration: { voters: voters ?? [], outgoing: outgoing ?? [], learners: learners ?? [] },
    retired: retired ?? [],
  };
}

/** Of the record that the store keeps, or that came with a snapshot; null if there is none. Throws as `decodeRecord` does. */
export function placedConfiguration(stored: StoredConfiguration | null): PlacedConfiguration {
  if (stored === null) return NO_CONFIGURATION;
  return { index: stored.index, configuration: decodeRecord(stored.bytes).configuration };
}
