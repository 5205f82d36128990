import { createRequire } from "node:module";
import { createServer } from "node:net";
import t from "tap";
import type { Bus } from "../../agent/bus/bus.ts";
import { EnvelopeCodec } from "../../agent/bus/envelope.ts";
import { decodeRequest, encodeReply } from "../../agent/bus/request-codec.ts";
import { inboxTopic } from "../../agent/bus/topics.ts";
import { isTrivetError, TrivetError } from "../../agent/platform/trivet-error.ts";
import {
  Cable,
  CLUSTER,
  encodePlain,
  eventually,
  meshed,
  nextPeerEvent,
  nodeIdOf,
  openBus,
  presenceOf,
  rawClient,
  urlOf,
} from "./bus-fixture.ts";

const text = (body: Uint8Array) => Buffer.from(body).toString();

t.test("three nodes with one seed", async (t) => {
  const a = await openBus("a");
  const b = await openBus("b", { seeds: [urlOf(a)] });
  const c = await openBus("c", { seeds: [urlOf(a)] });
  t.teardown(() => Promise.all([a.close(), b.close(), c.close()]));
  await meshed(a, b, c);

  await t.test("they find one another, and link to each other's broker once", async (t) => {
    for (const bus of [a, b, c]) {
      t.equal(bus.peers().size, 2);
      t.equal(bus.links().filter((link) => link.up).length, 2);
      t.ok(bus.links().every((link) => link.reason === ""));
    }
    t.equal(a.peers().get(nodeIdOf("b"))?.presence?.name, "b");
  });

  await t.test("request() is answered in each direction", async (t) => {
    const all = { a, b, c };
    for (const bus of Object.values(all))
      bus.handle("echo", (from, body) => Buffer.from(from[0] + text(body)));
    for (const [from, source] of Object.entries(all)) {
      for (const to of Object.keys(all).filter((name) => name !== from)) {
        const answer = await source.request(nodeIdOf(to), "echo", Buffer.from("hello"), { timeoutMs: 5_000 });
        t.equal(text(answer), `${from}hello`, `${from} asks ${to}`);
      }
    }
  });

  await t.test("request() rejects with the code and sentence of the handler's error", async (t) => {
    b.handle("refuse", () => Promise.reject(new TrivetError("no-leader", "There is no leader.")));
    b.handle("bug", () => {
      throw new RangeError("off by one");
    });
    const ask = (method: string) => a.request(nodeIdOf("b"), method, Buffer.alloc(0), { timeoutMs: 5_000 });
    await t.rejects(ask("refuse"), {
      code: "no-leader",
      message: "There is no leader.",
      nodeId: nodeIdOf("b"),
    });
    await t.rejects(ask("bug"), { code: "internal", message: /off by one/ });
    await t.rejects(ask("what"), { code: "unknown-method", message: /"what"/ });
  });

  await t.test("request() gives up at its deadline, and the handler is told", async (t) => {
    const told = new Promise<number>((resolve) => {
      b.handle("slow", (_from, _body, { signal, deadlineMs }) => {
        t.ok(deadlineMs - performance.now() <= 100, "the remaining time travels with the request");
        return new Promise(() => signal.addEventListener("abort", () => resolve(performance.now())));
      });
    });
    const startMs = performance.now();
    const request = a.request(nodeIdOf("b"), "slow", Buffer.alloc(0), { timeoutMs: 100 });
    await t.rejects(request, { code: "request-timeout" });
    t.ok((await told) - startMs < 5_000);
  });

  await t.test("request() ends when its signal aborts", async (t) => {
    b.handle("hang", () => new Promise(() => undefined));
    const controller = new AbortController();
    const { signal } = controller;
    const request = a.request(nodeIdOf("b"), "hang", Buffer.alloc(0), { timeoutMs: 60_000, signal });
    controller.abort();
    await t.rejects(request, { code: "request-aborted" });
  });

  await t.test("request() to a node that nobody knows rejects with no-route", async (t) => {
    const request = a.request(nodeIdOf("9"), "echo", Buffer.alloc(0), { timeoutMs: 5_000 });
    await t.rejects(request, { code: "no-route" });
    t.equal(a.send(nodeIdOf("9"), "x", Buffer.alloc(0)), false);
    t.equal(a.send(nodeIdOf("a"), "x", Buffer.alloc(0)), false, "nor to itself");
  });

  await t.test("bodies of 5 MiB arrive whole, both ways at once, with small ones between", async (t) => {
    const large = Buffer.alloc(5 * 1024 * 1024);
    for (let at = 0; at < large.length; at += 4) large.writeUInt32BE(at, at);
    b.handle("large", (_from, body) => body);
    let pings = 0;
    b.onDatagram("ping", () => {
      pings += 1;
    });
    const requests = [1, 2].map(() => a.request(nodeIdOf("b"), "large", large, { timeoutMs: 10_000 }));
    a.send(nodeIdOf("b"), "ping", Buffer.alloc(1));
    await eventually("the small one overtakes", () => pings === 1);
    t.ok(a.counters().sent > 0);
    for (const answer of await Promise.all(requests)) t.ok(large.equals(answer));
    t.equal(b.counters().droppedFragments, 0);
  });

  await t.test("send() and request() refuse a body above the limit with too-large", async (t) => {
    const huge = Buffer.alloc(17 * 1024 * 1024);
    t.throws(() => a.send(nodeIdOf("b"), "x", huge), { code: "too-large" });
    await t.rejects(a.request(nodeIdOf("b"), "echo", huge, { timeoutMs: 1_000 }), { code: "too-large" });
    b.handle("huge", () => huge);
    const request = a.request(nodeIdOf("b"), "huge", Buffer.alloc(0), { timeoutMs: 5_000 });
    await t.rejects(request, { code: "too-large" }, "an answer above it too");
  });

  await t.test("announce() reaches the others, and says nothing twice", async (t) => {
    const seen: string[] = [];
    const stop = a.onPeer((event) => seen.push(`${event.kind} ${event.peer.presence?.name}`));
    const changed = nextPeerEvent(a, (event) => event.peer.presence?.name === "b2");
    for (let round = 0; round < 50; round++) b.announce(presenceOf("b2", b.brokerUrl, round));
    await changed;
    const last = nextPeerEvent(a, (event) => event.peer.presence?.name === "b3");
    for (let round = 0; round < 50; round++) b.announce(presenceOf("b3", b.brokerUrl, round));
    await last;
    stop();
    t.strictSame(seen, ["changed b2", "changed b3"]);
  });

  await t.test("close() says goodbye: the others see the node down at once", async (t) => {
    const gone = nextPeerEvent(a, (event) => event.kind === "down" && event.nodeId === nodeIdOf("c"));
    await c.close();
    await gone;
    t.equal(a.peers().get(nodeIdOf("c"))?.up, false);
    const request = c.request(nodeIdOf("a"), "echo", Buffer.alloc(0), { timeoutMs: 1_000 });
    await t.rejects(request, { code: "bus-closed" });
  });
});

t.test("datagrams that a Bus would not send", async (t) => {
  const a = await openBus("a");
  const { client } = await rawClient(urlOf(a));
  t.teardown(async () => {
    client.end(true);
    await a.close();
  });
  const codec = new EnvelopeCodec({ cluster: CLUSTER, nodeId: nodeIdOf("d"), session: 5 });
  const inbox = inboxTopic(CLUSTER, nodeIdOf("a"));
  const received: string[] = [];
  a.onDatagram("x", (from, body) => received.push(`${from[0]} ${text(body)}`));
  let seq = 100;
  /** Publishes, then one good datagram: when that arrived, the others were dealt with. */
  const publish = async (...payloads: readonly Buffer[]) => {
    const before = a.counters();
    received.length = 0;
    for (const payload of payloads) client.publish(inbox, payload);
    client.publish(inbox, encodePlain(codec, nodeIdOf("a"), seq++, "x", Buffer.from("end"), null));
    await eventually("the last one", () => received.includes("d end"));
    const after = a.counters();
    const dropped = Object.entries(after).filter(([name]) => name.startsWith("dropped"));
    return Object.fromEntries(
      dropped
        .map(([name, count]) => [name, count - (Object.entries(before).find(([n]) => n === name)?.[1] ?? 0)])
        .filter(([, count]) => count !== 0),
    );
  };
  const good = (number: number, body: string) =>
    encodePlain(codec, nodeIdOf("a"), number, "x", Buffer.from(body), null);

  await t.test("the same bytes twice are delivered once", async (t) => {
    const payload = good(1, "once");
    t.strictSame(await publish(payload, payload, payload), { droppedReplayed: 2 });
    t.strictSame(received, ["d once", "d end"]);
  });

  await t.test("an older session is dropped after a newer one", async (t) => {
    const older = new EnvelopeCodec({ cluster: CLUSTER, nodeId: nodeIdOf("d"), session: 4 });
    const payload = encodePlain(older, nodeIdOf("a"), 10_000, "x", Buffer.from("late"), null);
    t.strictSame(await publish(payload), { droppedOldSession: 1 });
  });

  await t.test("garbage and truncated envelopes are dropped", async (t) => {
    const whole = good(2, "cut");
    const cuts = [...whole.keys()].map((length) => whole.subarray(0, length)).slice(1);
    const garbage = [Buffer.from("hello"), Buffer.alloc(64, 0xff), Buffer.concat([whole, Buffer.alloc(1)])];
    t.strictSame(await publish(...cuts, ...garbage), { droppedMalformed: cuts.length + garbage.length });
    t.strictSame(received, ["d end"]);
  });

  await t.test(
    "an envelope of another cluster, for another node, or from ourselves is dropped",
    async (t) => {
      const foreign = new EnvelopeCodec({ cluster: "other", nodeId: nodeIdOf("d"), session: 5 });
      const own = new EnvelopeCodec({ cluster: CLUSTER, nodeId: nodeIdOf("a"), session: 5 });
      const payloads = [
        encodePlain(foreign, nodeIdOf("a"), 200, "x", Buffer.alloc(0), null),
        encodePlain(codec, nodeIdOf("b"), 201, "x", Buffer.alloc(0), null),
        encodePlain(own, nodeIdOf("a"), 202, "x", Buffer.alloc(0), null),
      ];
      t.strictSame(await publish(...payloads), { droppedForeign: 3 });
    },
  );

  await t.test(
    "a kind that nobody handles is dropped, so are requests and replies that are none",
    async (t) => {
      const payloads = ["y", "$request", "$reply"].map((kind) =>
        encodePlain(codec, nodeIdOf("a"), seq++, kind, Buffer.from("?"), null),
      );
      t.strictSame(await publish(...payloads), { droppedUnhandled: 3 });
    },
  );

  await t.test("a reply counts only from the node that was asked, to the process that asked", async (t) => {
    const asked = await rawClient(urlOf(a), { clientId: `${nodeIdOf("d")}-asked` });
    const request = new Promise<Buffer>((resolve) =>
      asked.client.once("message", (_, body) => resolve(body)),
    );
    await asked.client.subscribeAsync(inboxTopic(CLUSTER, nodeIdOf("d")));
    const answer = a.request(nodeIdOf("d"), "method", Buffer.from("q"), { timeoutMs: 5_000 });
    const asks = decodeRequest(codec.decode(await request)?.body ?? Buffer.alloc(0));
    if (asks === null) throw new Error("that was no request");
    const { session, id } = asks;
    const other = new EnvelopeCodec({ cluster: CLUSTER, nodeId: nodeIdOf("e"), session: 1 });
    const reply = (from: EnvelopeCodec, body: string, to = session) => {
      const bytes = encodeReply({ kind: "result", session: to, id, body: Buffer.from(body) });
      return encodePlain(from, nodeIdOf("a"), seq++, "$reply", bytes, null);
    };
    const dropped = await publish(
      reply(other, "forged"),
      reply(codec, "to a request of the process before", session - 1),
      reply(codec, "true"),
      reply(codec, "again"),
    );
    t.strictSame(dropped, { droppedUnhandled: 3 });
    t.equal(text(await answer), "true");
    asked.client.end(true);
  });

  await t.test(
    "a lost fragment loses its body only; interleaved and doubled ones do not matter",
    async (t) => {
      const part = (messageId: number, index: number, letter: string) =>
        encodePlain(codec, nodeIdOf("a"), seq++, "x", Buffer.alloc(1024, letter), {
          messageId,
          index,
          count: 3,
          totalBytes: 3072,
        });
      const dropped = await publish(
        part(1, 2, "c"),
        part(2, 0, "x"),
        part(3, 0, "k"),
        part(1, 0, "a"),
        part(2, 1, "y"),
        part(1, 0, "a"),
        part(1, 1, "b"),
        part(3, 1, "l"),
        part(2, 2, "z"),
      );
      t.strictSame(dropped, { droppedFragments: 1 });
      const bodies = received.slice(0, -1).map((line) => line.slice(2).replace(/(.)\1*/g, "$1"));
      t.strictSame(bodies, ["abc", "xyz"]);
    },
  );

  await t.test("fragments that contradict each other or claim too much are dropped", async (t) => {
    const fragment = (over: object, body = Buffer.alloc(1024)) => {
      const fields = { messageId: seq, index: 0, count: 2, totalBytes: 2048, ...over };
      return encodePlain(codec, nodeIdOf("a"), seq++, "x", body, fields);
    };
    const dropped = await publish(
      fragment({ totalBytes: 2 ** 40 }),
      fragment({ count: 2 ** 32 }),
      fragment({ count: 0 }),
      fragment({ count: 1 }),
      fragment({ index: 2 }),
      fragment({}, Buffer.alloc(1023)),
    );
    t.strictSame(dropped, { droppedFragments: 6 });
  });
});

t.test("routes and hubs", async (t) => {
  await t.test("datagrams take a detour when the direct links are cut", async (t) => {
    const c = await openBus("c");
    const a = await openBus("a", { seeds: [urlOf(c)] });
    const b = await openBus("b", { seeds: [urlOf(c)] });
    const cables = [await Cable.to(urlOf(a)), await Cable.to(urlOf(b))] as const;
    t.teardown(async () => {
      for (const cable of cables) cable.cut();
      await Promise.all([a.close(), b.close(), c.close()]);
    });
    a.announce(presenceOf("a", cables[0].url));
    b.announce(presenceOf("b", cables[1].url));
    b.handle("echo", (_from, body) => body);
    await eventually("a and b are linked through the cables only", () =>
      [a, b].every((bus) => {
        const up = bus.links().filter((link) => link.up && link.nodeId !== null);
        return up.length === 2 && bus.links().length === 2 && up.some(({ url }) => url !== urlOf(c));
      }),
    );
    const suspected = nextPeerEvent(a, (event) => event.nodeId === nodeIdOf("b") && event.kind === "suspect");
    const downs: string[] = [];
    a.onPeer((event) => event.kind === "down" && downs.push(event.nodeId));
    for (const cable of cables) cable.cut();
    await suspected;
    await eventually("the direct links are down", () => a.links().filter((link) => link.up).length === 1);
    const answer = await a.request(nodeIdOf("b"), "echo", Buffer.from("round"), { timeoutMs: 5_000 });
    t.equal(text(answer), "round");
    const large = Buffer.alloc(1024 * 1024, "y");
    t.ok(
      large.equals(await a.request(nodeIdOf("b"), "echo", large, { timeoutMs: 10_000 })),
      "large ones too",
    );
    t.strictSame(downs, [], "b is still present on c");
    t.equal(a.peers().get(nodeIdOf("b"))?.up, true);
  });

  await t.test("two URLs of one broker, and the own URL, are used once", async (t) => {
    const a = await openBus("a");
    const other = await Cable.to(urlOf(a));
    const b = await openBus("b", {
      listen: null,
      seeds: [urlOf(a), other.url, "mqtt://0.0.0.0:1883", "bad"],
    });
    t.teardown(async () => {
      other.cut();
      await Promise.all([a.close(), b.close()]);
    });
    const link = (bus: Bus, url: string) => bus.links().find((status) => status.url === url);
    await eventually("one is up, the other parked", () => {
      const reasons = [link(b, urlOf(a)), link(b, other.url)].map((status) => status?.reason ?? "");
      return reasons.includes("") && reasons.some((reason) => reason.startsWith("it is the same broker"));
    });
    t.equal(b.brokerUrl, null);
    t.match(link(b, "bad")?.reason, /not an mqtt/);
    t.match(link(b, "mqtt://0.0.0.0:1883")?.reason, /not an mqtt/);
  });

  await t.test("a link to our own broker under another name is recognised", async (t) => {
    const probe = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => probe.once("listening", resolve));
    const address = probe.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await new Promise((resolve) => probe.close(resolve));
    const cable = await Cable.to(`mqtt://127.0.0.1:${port}`);
    const a = await openBus("a", { listen: { host: "127.0.0.1", port }, seeds: [cable.url] });
    t.teardown(async () => {
      cable.cut();
      await a.close();
    });
    await eventually("recognised", () => a.links()[0]?.reason === "it is this node's own broker");
    t.equal(a.peers().size, 0);
  });

  await t.test("nodes without a broker meet on another's and talk both ways", async (t) => {
    const hub = await openBus("c");
    const a = await openBus("a", { listen: null, seeds: [urlOf(hub)] });
    const b = await openBus("b", { listen: null, seeds: [urlOf(hub)] });
    t.teardown(() => Promise.all([a.close(), b.close(), hub.close()]));
    for (const bus of [a, b]) bus.handle("echo", (_from, body) => body);
    await eventually("they see each other", () => [a, b].every((bus) => bus.peers().size === 2));
    const ask = (bus: Bus, to: string) =>
      bus.request(nodeIdOf(to), "echo", Buffer.from("hi"), { timeoutMs: 5_000 }).then(text);
    t.strictSame(await Promise.all([ask(a, "b"), ask(b, "a"), ask(hub, "a")]), ["hi", "hi", "hi"]);
  });
});

t.test("the codec keeps no table of 65,536 numbers, which it makes with its first packet", async (t) => {
  const a = await openBus("a");
  const b = await openBus("b", { seeds: [urlOf(a)] });
  t.teardown(() => Promise.all([a.close(), b.close()]));
  await meshed(a, b);
  const { cache } = createRequire(import.meta.url)("mqtt-packet/numbers.js");
  t.equal(Object.keys(cache).length, 0);
});

t.test("open() rejects with port-in-use, naming host and port", async (t) => {
  const a = await openBus("a");
  t.teardown(() => a.close());
  const port = Number(new URL(urlOf(a)).port);
  const second = openBus("b", { listen: { host: "127.0.0.1", port } });
  await t.rejects(second, { code: "port-in-use", message: new RegExp(`127\\.0\\.0\\.1:${port}.*--mqtt`) });
  const nowhere = openBus("b", { listen: { host: "192.0.2.1", port: 0 } });
  await t.rejects(nowhere, { code: "listen-failed" });
  t.ok(await nowhere.catch((error: unknown) => isTrivetError(error)));
});
