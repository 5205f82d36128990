import fc from "fast-check";
import { t } from "tap";
import { decodeCbor, encodeCbor } from "../../agent/platform/cbor.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import type { Message } from "../../agent/raft/messages.ts";
import { decodeDraft, encodeDraft } from "../../agent/replica/command-draft.ts";
import {
  decodeApplied,
  decodePosition,
  encodeApplied,
  encodePosition,
} from "../../agent/replica/leader-wire.ts";
import { memberIdOf, nodeIdOf } from "../../agent/replica/member-id.ts";
import { encodeRecord } from "../../agent/replica/membership-record.ts";
import { decodeMessage, encodeMessage } from "../../agent/replica/message-codec.ts";
import { decodeOpened, encodeOpened } from "../../agent/replica/snapshot-wire.ts";
import { SNAPSHOT_FILES } from "../../agent/store/snapshot.ts";

const A = "a".repeat(32);
const B = "b".repeat(32);
const from = memberIdOf(A, "00000001");
const to = memberIdOf(B, "00000002");

const integer = fc.maxSafeNat();
const position = { index: integer, term: integer };
const header = { from: fc.constant(from), to: fc.constant(to), term: integer };
const members = fc.array(fc.constantFrom(from, to), { maxLength: 3 });
const unplacedEntry = fc.oneof(
  fc.record({ kind: fc.constant("noop" as const), term: integer }),
  fc.record({
    kind: fc.constant("command" as const),
    term: integer,
    command: fc.uint8Array({ maxLength: 40 }),
  }),
  fc.record({
    kind: fc.constant("configuration" as const),
    term: integer,
    configuration: fc.record({ voters: members, outgoing: members, learners: members }),
  }),
);
const appendRequest = fc
  .record({
    kind: fc.constant("append-request" as const),
    ...header,
    previousIndex: fc.nat(),
    previousTerm: integer,
    commit: integer,
    entries: fc.array(unplacedEntry, { maxLength: 4 }),
  })
  .map((request) => ({
    ...request,
    entries: request.entries.map((entry, nth) => ({ ...entry, index: request.previousIndex + 1 + nth })),
  }));
const lastEntry = { lastIndex: integer, lastTerm: integer };
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant("pre-vote-request" as const), ...header, ...lastEntry }),
  fc.record({ kind: fc.constant("pre-vote-response" as const), ...header, granted: fc.boolean() }),
  fc.record({ kind: fc.constant("vote-request" as const), ...header, ...lastEntry, transfer: fc.boolean() }),
  fc.record({ kind: fc.constant("vote-response" as const), ...header, granted: fc.boolean() }),
  appendRequest,
  fc.record({
    kind: fc.constant("append-response" as const),
    ...header,
    index: integer,
    hint: fc.option(fc.record(position)),
  }),
  fc.record({
    kind: fc.constant("heartbeat-request" as const),
    ...header,
    commit: integer,
    readContext: integer,
    sentMs: integer,
    electionMs: integer,
  }),
  fc.record({
    kind: fc.constant("heartbeat-response" as const),
    ...header,
    readContext: integer,
    sentMs: integer,
  }),
  fc.record({
    kind: fc.constant("snapshot-request" as const),
    ...header,
    baseIndex: integer,
    baseTerm: integer,
  }),
  fc.record({ kind: fc.constant("timeout-now" as const), ...header }),
);

t.test("decodeMessage() gives back what encodeMessage() took", async (t) => {
  fc.assert(
    fc.property(message, (sent) => {
      t.strictSame(plain(decodeMessage(encodeMessage(sent), A, B)), plain(sent));
    }),
    { numRuns: 500 },
  );
});

t.test("decodeMessage() refuses everything else with a code, whatever it is", async (t) => {
  const notBytes = fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.anything().map(encodeAnything));
  fc.assert(
    fc.property(notBytes, (bytes) => isRefusal(() => decodeMessage(bytes, A, B))),
    { numRuns: 2_000 },
  );
  // Damage to real messages: other fields, or a refusal, but never a crash.
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(255), (sent, place, value) => {
      const bytes = Uint8Array.from(encodeMessage(sent));
      bytes[place % bytes.length] = value;
      return isRefusal(() => decodeMessage(bytes, A, B));
    }),
    { numRuns: 2_000 },
  );
  t.pass();
});

t.test("decodeMessage() refuses a configuration of anything but three lists of members", async (t) => {
  const decode = (configuration: unknown) =>
    decodeMessage(encodeCbor([4, "00000001", "00000002", 1, 0, 0, 0, [[1, configuration]]]), A, B);
  t.match(decode([[from], [], [to]]), {
    entries: [{ index: 1, configuration: { voters: [from], outgoing: [], learners: [to] } }],
  });
  t.throws(() => decode([]), { code: "malformed-datagram" });
  t.throws(() => decode([[from], []]), { code: "malformed-datagram" });
  t.throws(() => decode([[from], [], [], []]), { code: "malformed-datagram" });
  t.throws(() => decode([[from], [], from]), { code: "malformed-datagram" });
  // It would be sent to, and nobody knows where it lives.
  t.throws(() => decode([["b"], [], []]), { code: "malformed-member-id" });
});

t.test("decodeMessage() refuses times that are no whole number", async (t) => {
  for (const ms of [-1, 0.5, 2 ** 53, "1", null]) {
    const heartbeat = encodeCbor([6, "00000001", "00000002", 1, 0, 0, ms, 900]);
    t.throws(() => decodeMessage(heartbeat, A, B), { code: "malformed-datagram" }, `${ms}`);
  }
});

t.test("decodeMessage() does not keep the datagram that an entry came in", async (t) => {
  const command = new Uint8Array(10);
  const entries = [{ kind: "command", index: 1, term: 1, command }] as const;
  const request = {
    kind: "append-request",
    from,
    to,
    term: 1,
    previousIndex: 0,
    previousTerm: 0,
    commit: 0,
  } as const;
  const decoded = decodeMessage(encodeMessage({ ...request, entries }), A, B);
  const [entry] = decoded.kind === "append-request" ? decoded.entries : [];
  t.equal(entry?.kind === "command" && entry.command.buffer.byteLength, 10);
});

t.test("decodeOpened() refuses a membership that its receiver could not go on with", async (t) => {
  const files = SNAPSHOT_FILES.map((name) => ({ name, bytes: 10, sha256: "00" }));
  const record = encodeRecord({
    configuration: { voters: [from], outgoing: [], learners: [] },
    retired: [to],
  });
  const opened = (index: number, bytes: Uint8Array) => ({
    id: "1",
    manifest: { position: { index: 7, term: 2 }, configuration: { index, bytes }, files },
  });
  const sent = opened(7, record);
  t.strictSame(plain(decodeOpened(encodeOpened(sent))), plain(sent));
  for (const bad of [opened(8, record), opened(7, encodeCbor([[from], 1])), opened(7, new Uint8Array(3))])
    t.throws(() => decodeOpened(encodeOpened(bad)), { code: /^malformed-/ });
});

const sqlValue = fc.oneof(
  fc.constant(null),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  fc.string(),
  fc.uint8Array({ maxLength: 20 }),
);

t.test("decodeDraft() gives back what encodeDraft() took", async (t) => {
  const parameters = fc.oneof(
    fc.array(sqlValue, { maxLength: 4 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), sqlValue, { minKeys: 1, maxKeys: 4 }),
  );
  const statements = fc.array(fc.record({ sql: fc.string(), parameters }), { maxLength: 3 });
  const from1 = fc.integer({ min: 1 });
  const session = fc.option(fc.record({ id: from1, sequence: from1 }));
  const key = fc.record({ kind: fc.string(), namespace: fc.string(), name: fc.string() });
  const writes = fc.array(
    fc.record({
      kind: fc.constant("put" as const),
      key,
      body: fc.uint8Array(),
      revision: fc.option(fc.nat()),
    }),
  );
  const draft = fc.oneof(
    fc.record({ kind: fc.constant("sql" as const), session, transaction: fc.boolean(), statements }),
    fc.record({ kind: fc.constant("open-session" as const) }),
    fc.record({ kind: fc.constant("objects" as const), session, writes }),
  );
  fc.assert(fc.property(draft, (sent) => t.strictSame(plain(decodeDraft(encodeDraft(sent))), plain(sent))));
});

t.test("decodeApplied() gives back what encodeApplied() took", async (t) => {
  const result = fc.oneof(
    fc.record({
      kind: fc.constant("rows" as const),
      columns: fc.array(fc.string(), { maxLength: 3 }),
      types: fc.array(fc.string(), { maxLength: 3 }),
      values: fc.array(fc.array(sqlValue, { maxLength: 3 }), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant("changed" as const), lastInsertId: fc.integer(), rowsAffected: fc.nat() }),
    fc.record({ kind: fc.constant("error" as const), code: fc.string(), message: fc.string() }),
    fc.record({ kind: fc.constant("session" as const), id: fc.nat() }),
    fc.record({ kind: fc.constant("objects" as const), revision: fc.nat(), uids: fc.array(fc.uuid()) }),
  );
  fc.assert(
    fc.property(integer, fc.array(result, { maxLength: 3 }), (index, results) => {
      const applied = { position: { index, term: 3 }, result: results };
      t.strictSame(plain(decodeApplied(encodeApplied(applied))), plain(applied));
    }),
  );
});

t.test("the decoders of requests and answers refuse what is none", async (t) => {
  for (const value of [null, 1, "x", {}, [1], [1, 9, 0], [1, 3, 0, [1]]]) {
    t.throws(() => decodeDraft(encodeCbor(value)), { code: "malformed-command" }, JSON.stringify(value));
  }
  t.strictSame(decodePosition(encodePosition({ index: 3, term: 2 })), { index: 3, term: 2 });
  t.throws(() => decodePosition(encodeCbor([-1, 1])), { code: "malformed-datagram" });
  t.throws(() => decodeApplied(encodeCbor([1, 1, [["one"]]])), { code: "malformed-datagram" });
});

t.test("memberIdOf() takes only what nodeIdOf() can take apart", async (t) => {
  t.equal(nodeIdOf(from), A);
  t.throws(() => memberIdOf("short", "00000001"), { code: "malformed-member-id" });
  t.throws(() => nodeIdOf("x.y"), { code: "malformed-member-id" });
});

function isRefusal(act: () => unknown): boolean {
  try {
    act();
    return true;
  } catch (error) {
    return isTrivetError(error);
  }
}

function encodeAnything(value: unknown): Uint8Array {
  try {
    return encodeCbor(value);
  } catch {
    return new Uint8Array(0);
  }
}

/** Buffer and Uint8Array, objects with and without a prototype: the same once written down. */
function plain(value: unknown): unknown {
  return decodeCbor(encodeCbor(value));
}
