import fc from "fast-check";
import t from "tap";
import { CborReader, CborWriter } from "../../agent/bus/cbor-fields.ts";
import { type Envelope, EnvelopeCodec } from "../../agent/bus/envelope.ts";
import { FrameGuard } from "../../agent/bus/frame-guard.ts";
import { parseHubUrl } from "../../agent/bus/hub-address.ts";
import { decodePresence, encodePresence, withSeenAddress } from "../../agent/bus/presence.ts";
import { ReplayGuard, ReplayWindow } from "../../agent/bus/replay-window.ts";
import { decodeReply, decodeRequest, encodeReply, encodeRequest } from "../../agent/bus/request-codec.ts";
import { matchesFilter } from "../../agent/bus/topic-fanout.ts";
import { parseNodeTopic } from "../../agent/bus/topics.ts";
import { decodeCbor } from "../../agent/platform/cbor.ts";
import { nodeIdOf, presenceOf } from "./bus-fixture.ts";

const count = fc.maxSafeNat();
const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value));
const key = fc.record({ session: count, id: count });
const nodeId = fc.constantFrom("0", "9", "a", "f").map(nodeIdOf);
const fragment = fc.record({ messageId: count, index: count, count, totalBytes: count });

t.test("EnvelopeCodec", async (t) => {
  const envelope: fc.Arbitrary<Envelope> = fc.record({
    cluster: fc.constantFrom("a", "shop-17"),
    from: nodeId,
    to: nodeId,
    session: count,
    seq: count,
    path: count,
    heard: fc.array(count, { maxLength: 64 }),
    kind: fc.string({ maxLength: 8 }),
    body: bytes,
    fragment: fc.option(fragment),
  });
  const encode = ({ cluster, from, session, ...rest }: Envelope) =>
    new EnvelopeCodec({ cluster, nodeId: from, session }).encode(rest);
  const codec = new EnvelopeCodec({ cluster: "a", nodeId: nodeIdOf("a"), session: 1 });

  await t.test("decode() returns what encode() was given", async () => {
    fc.assert(
      fc.property(envelope, (original) => {
        const decoded = codec.decode(encode(original));
        return decoded !== null && JSON.stringify(decoded) === JSON.stringify(original);
      }),
    );
  });

  await t.test("encode() makes CBOR that any decoder reads", async (t) => {
    const common = { to: nodeIdOf("b"), seq: 2 ** 40, path: 3, heard: [0, 300], kind: "raft" };
    const plain = codec.encode({ ...common, body: Buffer.from("hi"), fragment: null });
    const ids = [nodeIdOf("a"), nodeIdOf("b")];
    t.strictSame(decodeCbor(plain), [1, "a", ...ids, 1, 2n ** 40n, 3, [0, 300], "raft", Buffer.from("hi")]);
    const fragment = { messageId: 70_000, index: 24, count: 300, totalBytes: 2 ** 32 };
    const parts = codec.encode({ ...common, body: Buffer.alloc(0), fragment });
    t.strictSame((decodeCbor(parts) as unknown[]).slice(10), [70_000, 24, 300, 2n ** 32n]);
  });

  await t.test("decode() refuses every truncation, and anything appended", async () => {
    fc.assert(
      fc.property(envelope, fc.nat(), (original, cut) => {
        const whole = encode(original);
        const longer = Buffer.concat([whole, Buffer.from([0])]);
        return codec.decode(whole.subarray(0, cut % whole.length)) === null && codec.decode(longer) === null;
      }),
    );
  });

  await t.test("decode() never throws, whatever the bytes", async () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => codec.decode(garbage) === null),
      { numRuns: 2_000 },
    );
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(envelope, flips, (original, changes) => {
        const mutated = Buffer.from(encode(original));
        for (const [at, value] of changes) mutated[at % mutated.length] = value;
        const decoded = codec.decode(mutated);
        return decoded === null || decoded.body.byteLength <= mutated.length;
      }),
      { numRuns: 2_000 },
    );
  });
});

t.test("CborReader takes the shortest form of a number only, up to 2^53 - 1", async (t) => {
  const read = (...raw: number[]) => {
    const reader = new CborReader(Uint8Array.from(raw));
    const value = reader.uint();
    return reader.done ? value : null;
  };
  t.equal(read(0x17), 23);
  t.equal(read(0x18, 24), 24);
  t.equal(read(0x18, 23), null);
  t.equal(read(0x19, 0, 255), null);
  t.equal(read(0x1a, 0, 0, 255, 255), null);
  t.equal(read(0x1b, 0, 0, 0, 0, 255, 255, 255, 255), null);
  t.equal(read(0x1b, 0, 0x1f, 255, 255, 255, 255, 255, 255), Number.MAX_SAFE_INTEGER);
  t.equal(read(0x1b, 0, 0x20, 0, 0, 0, 0, 0, 0), null);
  t.equal(read(0x1f), null, "indefinite length");
  t.equal(read(0x20), null, "a negative number");
  fc.assert(fc.property(count, (value) => read(...new CborWriter(9).uint(value).finish()) === value));
});

t.test("requests and replies survive the way, garbage does not", async () => {
  const json = JSON.stringify;
  fc.assert(
    fc.property(key, fc.string({ maxLength: 16 }), fc.nat(), bytes, (key, method, remainingMs, body) => {
      const request = { ...key, method, remainingMs, silenceMs: remainingMs >> 1, body };
      return json(decodeRequest(encodeRequest(request))) === json(request);
    }),
  );
  fc.assert(
    fc.property(key, fc.string({ maxLength: 16 }), fc.string(), bytes, (key, code, message, body) => {
      const error = { kind: "error", ...key, code, message } as const;
      const result = { kind: "result", ...key, body } as const;
      const working = { kind: "working", ...key } as const;
      return (
        json(decodeReply(encodeReply(working))) === json(working) &&
        json(decodeReply(encodeReply(error))) === json(error) &&
        json(decodeReply(encodeReply(result))) === json(result)
      );
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (garbage) => {
      const request = decodeRequest(garbage);
      return request === null || request.body.byteLength < garbage.byteLength;
    }),
    { numRuns: 2_000 },
  );
});

t.test("ReplayWindow takes each number once, as a set would that forgets what is too old", async () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 300 }),
      fc.nat(2 ** 40),
      (steps, base) => {
        const window = new ReplayWindow(64);
        const seen = new Set<number>();
        let highest = -1;
        for (const step of steps) {
          const seq = base + step;
          const expected = !seen.has(seq) && seq > highest - 64;
          if (window.accept(seq) !== expected) return false;
          seen.add(seq);
          highest = Math.max(highest, seq);
        }
        return true;
      },
    ),
    { numRuns: 500 },
  );
});

t.test("ReplayGuard", async (t) => {
  await t.test("check() keeps the newest session of each sender", async (t) => {
    const guard = new ReplayGuard({ replayWindow: 64, sendersMax: 8 });
    const verdicts = [
      guard.check("a", 5, 1),
      guard.check("a", 5, 1),
      guard.check("b", 1, 1),
      guard.check("a", 6, 1),
      guard.check("a", 5, 2),
    ];
    t.strictSame(verdicts, ["fresh", "duplicate", "fresh", "fresh", "old-session"]);
  });
  await t.test("check() makes room by forgetting the sender that was silent longest", async (t) => {
    const guard = new ReplayGuard({ replayWindow: 64, sendersMax: 2 });
    for (const from of ["a", "b", "a", "c"]) guard.check(from, 1, from === "a" ? 1 : 2);
    t.equal(guard.check("a", 1, 1), "duplicate", "a was heard of after b");
    t.equal(guard.check("b", 1, 2), "fresh", "b was forgotten");
  });
});

t.test("FrameGuard accepts() finds a packet above the limit in any cutting of the stream", async () => {
  const packet = (length: number) => {
    const head = [0x30];
    for (let rest = length; ; rest >>= 7) {
      head.push(rest > 127 ? (rest & 127) | 128 : rest);
      if (rest <= 127) break;
    }
    return [...head, ...new Array<number>(length).fill(0xff)];
  };
  const lengths = fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 8 });
  fc.assert(
    fc.property(lengths, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sizes, cuts) => {
      const stream = Uint8Array.from(sizes.flatMap(packet));
      const guard = new FrameGuard(400);
      let accepted = true;
      for (let at = 0, cut = 0; at < stream.length && accepted; cut++) {
        const end = at + (cuts[cut % cuts.length] ?? 1);
        accepted = guard.accepts(stream.subarray(at, end));
        at = end;
      }
      return accepted === sizes.every((size) => size <= 400);
    }),
  );
});

t.test("presence", async (t) => {
  const message = { nodeId: nodeIdOf("a"), session: 3, revision: 4, up: true, body: presenceOf("a", null) };

  await t.test("decodePresence() returns what encodePresence() was given", async (t) => {
    t.strictSame(decodePresence(encodePresence(message)), message);
    const extra = { ...message, body: { ...message.body, extra: { score: [1, 2] } } };
    t.strictSame(decodePresence(encodePresence(extra)), extra);
    t.strictSame(decodePresence(encodePresence({ ...message, up: false, body: null }))?.body, null);
  });

  await t.test("decodePresence() refuses a wrong field", async (t) => {
    const wrong: Record<string, unknown>[] = [
      { v: 2 },
      { nodeId: "A".repeat(32) },
      { session: -1 },
      { session: 1.5 },
      { revision: "1" },
      { up: 1 },
      { body: null },
      { body: [] },
      { body: { ...message.body, name: 7 } },
      { body: { ...message.body, broker: "x".repeat(300) } },
      { body: { ...message.body, raft: { term: 0, commit: 0 } } },
      { body: { ...message.body, extra: 1 } },
    ];
    for (const over of wrong) {
      t.equal(
        decodePresence(Buffer.from(JSON.stringify({ v: 1, ...message, ...over }))),
        null,
        JSON.stringify(over),
      );
    }
  });

  await t.test("decodePresence() never throws, whatever the bytes", async () => {
    fc.assert(fc.property(fc.uint8Array(), (garbage) => decodePresence(garbage) === null));
    fc.assert(fc.property(fc.json(), (text) => decodePresence(Buffer.from(text)) === null));
    fc.assert(
      fc.property(fc.object(), (body) => {
        decodePresence(Buffer.from(JSON.stringify({ v: 1, ...message, body })));
        return true;
      }),
    );
  });

  await t.test("withSeenAddress() replaces a wildcard host only", async (t) => {
    const seen = (broker: string | null, address: string | null) =>
      withSeenAddress(presenceOf("a", broker), address).broker;
    t.equal(seen("mqtt://0.0.0.0:1883", "10.0.0.7"), "mqtt://10.0.0.7:1883");
    t.equal(seen("mqtt://[::]:1883", "fe80::1"), "mqtt://[fe80::1]:1883");
    t.equal(seen("mqtt://box.local:1883", "10.0.0.7"), "mqtt://box.local:1883");
    t.equal(seen("mqtt://0.0.0.0:1883", null), "mqtt://0.0.0.0:1883");
    t.equal(seen(null, "10.0.0.7"), null);
  });
});

t.test("matchesFilter() follows MQTT 3.1.1, 4.7", async (t) => {
  const matching = ["a/b", "a/+", "+/b", "#", "a/#", "a/b/#", "+/+"];
  for (const filter of matching) t.ok(matchesFilter(filter, "a/b"), filter);
  for (const filter of ["a", "b", "a/c", "a/b/c", "+", "a/b/+", "+/+/+"]) {
    t.notOk(matchesFilter(filter, "a/b"), filter);
  }
});

t.test("parseNodeTopic() and parseHubUrl() take their own only", async (t) => {
  const topic = `trivet/1/cluster/shop-1/inbox/${nodeIdOf("a")}`;
  t.strictSame(parseNodeTopic(topic), { kind: "inbox", cluster: "shop-1", nodeId: nodeIdOf("a") });
  for (const wrong of [`${topic}/x`, topic.slice(0, -1), topic.replace("shop-1", "+"), "trivet/1/hub"]) {
    t.equal(parseNodeTopic(wrong), null, wrong);
  }
  t.strictSame(parseHubUrl("mqtt://box:1884"), { host: "box", port: 1884 });
  t.strictSame(parseHubUrl("mqtt://[::1]"), { host: "::1", port: 1883 });
  for (const wrong of ["http://box", "box:1883", "mqtt://", "mqtt://[::]:1883", ""]) {
    t.equal(parseHubUrl(wrong), null, wrong);
  }
});
