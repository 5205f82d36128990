import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import type { MemberId } from "../raft/types.ts";
import { DISK_STATES, type DiskState } from "./disk-state.ts";
import type { Digest } from "./divergence.ts";
import { asArray, asBytes, asInteger, asString, malformed } from "./wire-fields.ts";

/** What a member tells the leader of itself, and what the leader thinks of it, as CBOR. Decoders throw `malformed-datagram`. */

/** More than a member sends. */
const DIGESTS_MAX = 64;
/** A hash: SHA-256. */
const HASH_BYTES_MAX = 64;

export interface MemberReport {
  readonly member: MemberId;
  /** Of the process that sent it: drawn anew at each start. */
  readonly process: string;
  /** Grows by one a report of one process. A datagram may be overtaken by a later one. */
  readonly sequence: number;
  readonly disk: DiskState;
  /** Oldest first; empty while the member has no copy that it trusts. */
  readonly digests: readonly Digest[];
}

export const VERDICTS = ["same", "differs", "unknown"] as const;
/** `unknown`: nothing to compare yet, or it is not decided who is right. Ask again. */
export type Verdict = (typeof VERDICTS)[number];

/** `[member, process, sequence, disk state, [[index, hash], ...]]` */
export function encodeReport({ member, process, sequence, disk, digests }: MemberReport): Uint8Array {
  return encodeCbor([member, process, sequence, disk, digests.map(({ index, hash }) => [index, hash])]);
}

export function decodeReport(bytes: Uint8Array): MemberReport {
  const [member, process, sequence, disk, digests] = asArray(decodeCbor(bytes));
  const known = DISK_STATES.find((state) => state === disk);
  if (known === undefined) throw malformed("the state of a disk", disk);
  const list = asArray(digests);
  if (list.length > DIGESTS_MAX) throw malformed(`at most ${DIGESTS_MAX} digests`, digests);
  return {
    member: asString(member),
    process: asString(process),
    sequence: asInteger(sequence),
    disk: known,
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
