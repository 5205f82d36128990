import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import type { Message } from "../raft/messages.ts";
import type { MemberId } from "../raft/types.ts";
import { entryFromWire, entryToWire } from "./entry-codec.ts";
import { incarnationOf, memberIdOf } from "./member-id.ts";
import { asArray, asBoolean, asInteger, asString, malformed } from "./wire-fields.ts";

/**
 * Raft messages on the wire: a CBOR list `[kind, from, to, term, ...]` with the kind as its place in this list (only ever
 * add at the end) and incarnations for members: the nodes stand in the bus's envelope.
 */
const KINDS = [
  "pre-vote-request",
  "pre-vote-response",
  "vote-request",
  "vote-response",
  "append-request",
  "append-response",
  "heartbeat-request",
  "heartbeat-response",
  "timeout-now",
  "snapshot-request",
] as const satisfies readonly Message["kind"][];

export function encodeMessage(message: Message): Uint8Array {
  const { kind, from, to, term } = message;
  return encodeCbor([
    KINDS.indexOf(kind),
    incarnationOf(from),
    incarnationOf(to),
    term,
    ...fieldsOf(message),
  ]);
}

function fieldsOf(message: Message): readonly unknown[] {
  switch (message.kind) {
    case "pre-vote-request":
      return [message.lastIndex, message.lastTerm];
    case "vote-request":
      return [message.lastIndex, message.lastTerm, message.transfer];
    case "pre-vote-response":
    case "vote-response":
      return [message.granted];
    case "append-request": {
      const { previousIndex, previousTerm, commit, entries } = message;
      return [previousIndex, previousTerm, commit, entries.map(entryToWire)];
    }
    case "append-response":
      return message.hint === null ? [message.index] : [message.index, message.hint.index, message.hint.term];
    case "heartbeat-request":
      return [message.commit, message.readContext, message.sentMs, message.electionMs];
    case "heartbeat-response":
      return [message.readContext, message.sentMs];
    case "snapshot-request":
      return [message.baseIndex, message.baseTerm];
    case "timeout-now":
      return [];
  }
}

/** Throws `malformed-datagram`, `malformed-member-id` or `malformed-cbor` for anything that `encodeMessage` did not make. */
export function decodeMessage(bytes: Uint8Array, fromNode: string, toNode: string): Message {
  const [rawKind, rawFrom, rawTo, rawTerm, a, b, c, d] = asArray(decodeCbor(bytes));
  const kind = KINDS[asInteger(rawKind)];
  const from: MemberId = memberIdOf(fromNode, asString(rawFrom));
  const to: MemberId = memberIdOf(toNode, asString(rawTo));
  const header = { from, to, term: asInteger(rawTerm) };
  switch (kind) {
    case "pre-vote-request":
      return { kind, ...header, lastIndex: asInteger(a), lastTerm: asInteger(b) };
    case "vote-request":
      return { kind, ...header, lastIndex: asInteger(a), lastTerm: asInteger(b), transfer: asBoolean(c) };
    case "pre-vote-response":
    case "vote-response":
      return { kind, ...header, granted: asBoolean(a) };
    case "append-request": {
      const previousIndex = asInteger(a);
      const entries = asArray(d).map((entry, nth) => entryFromWire(entry, previousIndex + 1 + nth));
      return { kind, ...header, previousIndex, previousTerm: asInteger(b), commit: asInteger(c), entries };
    }
    case "append-response": {
      const hint = b === undefined ? null : { index: asInteger(b), term: asInteger(c) };
      return { kind, ...header, index: asInteger(a), hint };
    }
    case "heartbeat-request":
      return {
        kind,
        ...header,
        commit: asInteger(a),
        readContext: asInteger(b),
        sentMs: asInteger(c),
        electionMs: asInteger(d),
      };
    case "heartbeat-response":
      return { kind, ...header, readContext: asInteger(a), sentMs: asInteger(b) };
    case "snapshot-request":
      return { kind, ...header, baseIndex: asInteger(a), baseTerm: asInteger(b) };
    case "timeout-now":
      return { kind, ...header };
    default:
      throw malformed("a kind of message that this version knows", rawKind);
  }
}
