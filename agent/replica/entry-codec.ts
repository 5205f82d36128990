import type { Configuration, Entry } from "../raft/types.ts";
import { parseMemberId } from "./member-id.ts";
import { asArray, asBytes, asInteger, asString, malformed } from "./wire-fields.ts";

/** An entry on the wire, without its index, which the request tells: `[term]` is a no-op, else `[term, payload]`. */
export type WireEntry =
  | readonly [number]
  | readonly [number, Uint8Array]
  | readonly [number, WireConfiguration];

type WireConfiguration = readonly [readonly string[], readonly string[], readonly string[]];

export function entryToWire(entry: Entry): WireEntry {
  switch (entry.kind) {
    case "noop":
      return [entry.term];
    case "command":
      return [entry.term, entry.command];
    case "configuration": {
      const { voters, outgoing, learners } = entry.configuration;
      return [entry.term, [voters, outgoing, learners]];
    }
  }
}

/** Throws `malformed-datagram` or `malformed-member-id` for anything that `entryToWire` did not make. */
export function entryFromWire(wire: unknown, index: number): Entry {
  const [rawTerm, payload] = asArray(wire);
  const term = asInteger(rawTerm);
  if (payload === undefined) return { kind: "noop", index, term };
  if (payload instanceof Uint8Array) return { kind: "command", index, term, command: asBytes(payload) };
  return { kind: "configuration", index, term, configuration: configurationFromWire(payload) };
}

function configurationFromWire(wire: unknown): Configuration {
  const lists = asArray(wire).map((list) => asArray(list).map((id) => parseMemberId(asString(id))));
  const [voters, outgoing, learners] = lists;
  if (voters === undefined || outgoing === undefined || learners === undefined || lists.length > 3) {
    throw malformed("three lists of members", wire);
  }
  return { voters, outgoing, learners };
}
