import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import type { MemberId } from "../raft/types.ts";
import { DISK_STATES, type DiskState } from "./disk-state.ts";
import type { Digest } from "./divergence.ts";
import { asArray, asBoolean, asBytes, asInteger, asString, malformed } from "./wire-fields.ts";

/** What a member tells the leader of itself, and what the leader thinks of it, as CBOR. Decoders throw `malformed-datagram`. */

/** More than a member sends; see `DigestRing.told`. */
const DIGESTS_MAX = 64;
/** A hash: SHA-256. */
const HASH_BYTES_MAX = 64;

export interface MemberReport {
  readonly member: MemberId;
  /** Whose leadership it is told to: in another term it is old. */
  readonly term: number;
  /** Of the process that sent it: larger at each start of its node. */
  readonly session: number;
  /** On the monotonic clock of that process. A datagram may be overtaken by a later one. */
  readonly sentMs: number;
  /** Since when it has had the copy that this is about, on the same clock: each copy that one process has had began at another time. */
  readonly copySinceMs: number;
  readonly disk: DiskState;
  /** See `isStuck`. */
  readonly isStuck: boolean;
  /** Oldest first; empty while the member has no copy that it trusts. */
  readonly digests: readonly Digest[];
}

export const VERDICTS = ["same", "differs", "unknown"] as const;
/** `unknown`: nothing to compare yet, or it is not decided who is right. Ask again. */
export type Verdict = (typeof VERDICTS)[number];

/** `[member, term, session, sentMs, copySinceMs, disk state, is stuck, [[index, hash], ...]]` */
export function encodeReport(report: MemberReport): Uint8Array {
  const { member, term, session, sentMs, copySinceMs, disk, isStuck, digests } = report;
  const told = digests.map(({ index, hash }) => [index, hash]);
  return encodeCbor([member, term, session, sentMs, copySinceMs, disk, isStuck, told]);
}

export function decodeReport(bytes: Uint8Array): MemberReport {
  const [member, term, session, sentMs, copySinceMs, disk, isStuck, digests] = asArray(decodeCbor(bytes));
  const known = DISK_STATES.find((state) => state === disk);
  if (known === undefined) throw malformed("the state of a disk", disk);
  const list = asArray(digests);
  if (list.length > DIGESTS_MAX) throw malformed(`at most ${DIGESTS_MAX} digests`, digests);
  return {
    member: asString(member),
    term: asInteger(term),
    session: asInteger(session),
    sentMs: asInteger(sentMs),
    copySinceMs: asInteger(copySinceMs),
    disk: known,
    isStuck: asBoolean(isStuck),
    digests: list.map(digestFromWire),
  };
}

/** `[verdict]` */
export function encodeVerdict(verdict: Verdict): Uint8Array {
  return encodeCbor([verdict]);
}

export function decodeVerdict(bytes: Uint8Array): Verdict {
  const [word] = asArray(decodeCbor(bytes));
  const verdict = VERDICTS.find((each) => each === word);
  if (verdict === undefined) throw malformed("a verdict", word);
  return verdict;
}

function digestFromWire(wire: unknown): Digest {
  const [index, hash] = asArray(wire);
  const bytes = asBytes(hash);
  if (bytes.length > HASH_BYTES_MAX) throw malformed("a hash", hash);
  return { index: asInteger(index), hash: bytes };
}
