import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import { decodeResults, encodeResults } from "../store/result-codec.ts";
import type { LogPosition } from "../store/types.ts";
import { decodeDraft, encodeDraft, type SentDraft } from "./command-draft.ts";
import type { Applied } from "./proposals.ts";
import { asArray, asBytes, asInteger } from "./wire-fields.ts";

/** What other nodes ask of the leader, and what it answers, as CBOR. Decoders throw `malformed-datagram` or what the store's codecs throw. */

/** A command for the leader of a term. */
export interface Proposal {
  readonly term: number;
  readonly draft: SentDraft;
}

/** `[term, command]`, the command as `encodeDraft` makes it. */
export function encodeProposal({ term, draft }: Proposal): Uint8Array {
  return encodeCbor([term, encodeDraft(draft)]);
}

export function decodeProposal(bytes: Uint8Array): Proposal {
  const [term, command] = asArray(decodeCbor(bytes));
  return { term: asInteger(term), draft: decodeDraft(asBytes(command)) };
}

/** `[index, term, results]`, the results as the store encodes them. */
export function encodeApplied({ position, result }: Applied): Uint8Array {
  return encodeCbor([position.index, position.term, encodeResults(result)]);
}

export function decodeApplied(bytes: Uint8Array): Applied {
  const [index, term, result] = asArray(decodeCbor(bytes));
  const position = { index: asInteger(index), term: asInteger(term) };
  return { position, result: decodeResults(asBytes(result)) };
}

/** `[index, term]` */
export function encodePosition({ index, term }: LogPosition): Uint8Array {
  return encodeCbor([index, term]);
}

export function decodePosition(bytes: Uint8Array): LogPosition {
  const [index, term] = asArray(decodeCbor(bytes));
  return { index: asInteger(index), term: asInteger(term) };
}
