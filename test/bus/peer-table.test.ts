import fc from "fast-check";
import t from "tap";
import { Announcer } from "../../agent/bus/announcer.ts";
import { Backoff } from "../../agent/bus/backoff.ts";
import type { Envelope } from "../../agent/bus/envelope.ts";
import { FragmentAssembler } from "../../agent/bus/fragment-assembler.ts";
import { FragmentSender } from "../../agent/bus/fragment-sender.ts";
import { type PeerEvent, PeerTable } from "../../agent/bus/peer-table.ts";
import { decodePresence, type PresenceMessage } from "../../agent/bus/presence.ts";
import { wantedHubs } from "../../agent/bus/wanted-hubs.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { nodeIdOf, presenceOf } from "./bus-fixture.ts";

const A = nodeIdOf("a");

function says(up: boolean, session = 1, revision = 1, nodeId = A): PresenceMessage {
  return { nodeId, session, revision, up, body: presenceOf(`r${revision}`, null) };
}

function tableWithEvents(peersMax = 8): { readonly table: PeerTable; readonly events: string[] } {
  const events: string[] = [];
  const tell = (event: PeerEvent) =>
    events.push(event.kind === "suspect" ? `suspect by ${event.sign}` : event.kind);
  return { table: new PeerTable({ peersMax }, tell), events };
}

t.test("PeerTable", async (t) => {
  await t.test("observe() tells up once, however many hubs say it", async (t) => {
    const { table, events } = tableWithEvents();
    for (const hub of ["h1", "h2", "h1"]) table.observe(hub, says(true), 0);
    t.strictSame(events, ["up"]);
    t.strictSame(table.hubsOf(A), ["h1", "h2"]);
  });

  await t.test("observe() suspects at the first will, and is down at the last", async (t) => {
    const { table, events } = tableWithEvents();
    for (const hub of ["h1", "h2", "h3"]) table.observe(hub, says(true), 0);
    for (const hub of ["h1", "h2", "h3"]) table.observe(hub, says(false), 0);
    t.strictSame(events, ["up", "suspect by will", "down"]);
    t.equal(table.peers.get(A)?.presence?.name, "r1", "what it announced is kept");
  });

  await t.test("forgetHub() suspects the node whose broker it was, and withdraws what it said", async (t) => {
    const { table, events } = tableWithEvents();
    for (const hub of ["own", "other"]) table.observe(hub, says(true), 0);
    table.forgetHub("own", A, 0);
    t.equal(table.peers.get(A)?.suspect, true);
    table.observe("other", says(true, 1, 2), 0);
    t.equal(table.peers.get(A)?.suspect, false, "word from it contradicts that");
    table.forgetHub("other", null, 0);
    t.strictSame(events, ["up", "suspect by link", "changed", "down"]);
  });

  await t.test("observe() ignores an older session, and ends it when a newer one appears", async (t) => {
    const { table, events } = tableWithEvents();
    table.observe("h1", says(true, 5), 0);
    table.observe("h1", says(false, 4), 0);
    table.observe("h2", says(true, 4, 9), 0);
    t.strictSame(events, ["up"]);
    t.strictSame(table.hubsOf(A), ["h1"]);
    table.observe("h2", says(true, 6), 0);
    t.strictSame(events, ["up", "down", "up"]);
    t.strictSame(table.hubsOf(A), ["h2"]);
  });

  await t.test("observe() never goes back to an older revision", async (t) => {
    const { table, events } = tableWithEvents();
    table.observe("h1", says(true, 1, 7), 0);
    table.observe("h2", says(true, 1, 6), 0);
    table.observe("h2", says(true, 1, 7), 0);
    t.equal(table.peers.get(A)?.presence?.name, "r7");
    t.strictSame(events, ["up"]);
  });

  await t.test("a node is up exactly while a hub's last word about its newest session is up", async () => {
    const hub = fc.constantFrom("h1", "h2", "h3");
    const step = fc.record({
      hub,
      up: fc.boolean(),
      session: fc.integer({ min: 1, max: 3 }),
      lost: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { table, events } = tableWithEvents();
        const words = new Map<string, { up: boolean; session: number }>();
        let newest = 0;
        for (const { hub, up, session, lost } of steps) {
          if (lost) {
            table.forgetHub(hub, null, 0);
            words.delete(hub);
          } else {
            table.observe(hub, says(up, session), 0);
            newest = Math.max(newest, session);
            if (session === newest) words.set(hub, { up, session });
          }
          const expected = [...words.values()].some((word) => word.up && word.session === newest);
          if ((table.peers.get(A)?.up ?? false) !== expected) return false;
        }
        const turns = events.filter((kind) => kind === "up" || kind === "down");
        return turns.every((kind, at) => kind === (at % 2 === 0 ? "up" : "down"));
      }),
      { numRuns: 500 },
    );
  });

  await t.test("is bounded: the node that is down longest makes room, living ones do not", async (t) => {
    const { table } = tableWithEvents(2);
    table.observe("h", says(true, 1, 1, nodeIdOf("1")), 0);
    table.observe("h", says(true, 1, 1, nodeIdOf("2")), 0);
    t.equal(table.observe("h", says(true, 1, 1, nodeIdOf("3")), 0), false);
    table.observe("h", says(false, 1, 1, nodeIdOf("2")), 10);
    t.equal(table.observe("h", says(true, 1, 1, nodeIdOf("3")), 20), true);
    t.strictSame([...table.peers.keys()], [nodeIdOf("1"), nodeIdOf("3")]);
    table.observe("h", says(false, 1, 1, nodeIdOf("3")), 30);
    table.forgetPeers(30);
    t.equal(table.peers.size, 2);
    table.forgetPeers(31);
    t.equal(table.peers.size, 1);
  });
});

t.test("wantedHubs() has seeds, then living brokers, spares last, dead ones for a while", async (t) => {
  const { table } = tableWithEvents();
  const observe = (digit: string, up: boolean, over: object, nowMs = 0) => {
    const body = { ...presenceOf(digit, `mqtt://${digit}`), ...over };
    table.observe("h", { nodeId: nodeIdOf(digit), session: 1, revision: 1, up: true, body }, nowMs);
    if (!up) table.forgetHub("h", null, nowMs);
  };
  observe("5", false, {}, 50);
  observe("6", false, {}, 100);
  table.observe("h", says(true), 0);
  observe("1", true, { role: "spare" });
  observe("2", true, {});
  observe("3", true, { broker: "mqtt://0.0.0.0:1883" });
  const from = { seeds: ["mqtt://s", "mqtt://2"], ownUrl: "mqtt://1", peers: table, triedSinceMs: 60 };
  t.strictSame(
    [...wantedHubs({ ...from, ownUrl: null, max: 9 })],
    ["mqtt://s", "mqtt://2", "mqtt://1", "mqtt://6"],
  );
  t.strictSame([...wantedHubs({ ...from, max: 2 })], ["mqtt://s", "mqtt://2"]);
});

t.test("Announcer tells a change at once, then at its rate, and a moving commit index rarely", async (t) => {
  const clock = new ManualClock();
  const sent: { readonly atMs: number; readonly name: string; readonly commit: number }[] = [];
  const limits = { presenceIntervalMs: 100, presenceCommitIntervalMs: 5_000 };
  const announcer: Announcer = new Announcer({ nodeId: A, session: 1 }, limits, clock, () => {
    const message = decodePresence(announcer.message("up", null));
    sent.push({
      atMs: clock.nowMs(),
      name: message?.body?.name ?? "",
      commit: message?.body?.raft.commit ?? -1,
    });
  });
  announcer.announce(presenceOf("one", null, 1));
  for (let commit = 2; commit < 1_002; commit++) {
    clock.advance(10);
    announcer.announce(presenceOf(commit < 300 ? "one" : "two", null, commit));
  }
  const times = sent.map(({ atMs, name }) => `${atMs} ${name}`);
  t.strictSame(
    times,
    ["0 one", "2980 one", "2990 two"].filter((line) => line !== "2980 one").concat(["7990 two"]),
  );
  announcer.announce(presenceOf("three", null, 0));
  announcer.announce(presenceOf("four", null, 0));
  t.equal(sent.length, 4, "the second of two changes waits");
  clock.advance(100);
  t.equal(sent.length, 5);
  t.equal(sent.at(-1)?.name, "four");
  clock.advance(100);
  const news = decodePresence(announcer.message("up", null))?.revision;
  announcer.repeat();
  t.equal(sent.length, 6, "repeat() publishes again");
  t.equal(decodePresence(announcer.message("up", null))?.revision, news, "as no news");
  announcer.announce(presenceOf("five", null, 0));
  announcer.close();
  clock.advance(10_000);
  t.equal(sent.length, 6);
  t.equal(clock.timers, 0);
});

t.test("Backoff doubles to its limit, with chance, and starts over after reset()", async (t) => {
  const backoff = new Backoff(100, 1_000, { float: () => 0.5, bytes: (length) => new Uint8Array(length) });
  const waits = Array.from({ length: 6 }, () => backoff.nextMs());
  t.strictSame(waits, [75, 150, 300, 600, 750, 750]);
  backoff.reset();
  t.equal(backoff.nextMs(), 75);
});

t.test("FragmentAssembler", async (t) => {
  const limits = {
    bodyBytesMax: 64 * 1024,
    assemblyBytesPerSenderMax: 8 * 1024,
    assemblyBytesMax: 12 * 1024,
    assemblyTimeoutMs: 1_000,
  };
  const clock = new ManualClock();
  const assembler = new FragmentAssembler(limits, clock);
  let messageId = 0;
  const first = (from: string, totalBytes: number) => {
    const count = totalBytes / 1024;
    const fragment = { messageId: messageId++, index: 0, count, totalBytes };
    const envelope: Envelope = {
      cluster: "c",
      from,
      to: A,
      session: 1,
      seq: 0,
      path: 0,
      heard: [],
      kind: "x",
      body: Buffer.alloc(1024),
      fragment,
    };
    return assembler.add(envelope, fragment);
  };
  await t.test("add() keeps a sender, and all together, below their limits", async (t) => {
    first("s1", 8 * 1024);
    first("s1", 2 * 1024);
    t.equal(assembler.dropped, 1);
    t.equal(assembler.reservedBytes, 8 * 1024);
    first("s2", 4 * 1024);
    first("s3", 2 * 1024);
    t.equal(assembler.dropped, 2);
    t.equal(assembler.reservedBytes, 12 * 1024);
  });
  await t.test("gives up what is incomplete at its deadline, and stops its timer then", async (t) => {
    clock.advance(1_000);
    t.equal(assembler.reservedBytes, 0);
    t.equal(assembler.dropped, 4);
    t.equal(clock.timers, 0);
    t.equal(first("s1", 8 * 1024), null);
    t.equal(assembler.reservedBytes, 8 * 1024);
    assembler.close();
  });
});

t.test("FragmentSender", async (t) => {
  const clock = new ManualClock();
  const sent: string[] = [];
  let backlog: number | null = 0;
  const sender = new FragmentSender({
    limits: {
      fragmentBytes: 1024,
      fragmentBacklogBytes: 4096,
      fragmentQueueBytesMax: 20_000,
      assemblyTimeoutMs: 1_000,
    },
    clock,
    backlogBytes: () => backlog,
    sendFragment: (to, _kind, part, { index, count }) => {
      sent.push(`${to} ${index}/${count}`);
      if (backlog !== null) backlog += part.byteLength;
      return true;
    },
  });
  await t.test("send() fills the way to its mark and goes on as it drains", async (t) => {
    t.equal(sender.send("a", "x", Buffer.alloc(10_000)), true);
    t.equal(sent.length, 5, "ten parts of 1000 bytes, until 4096 wait");
    backlog = 0;
    clock.advance(2);
    t.equal(sent.length, 10);
    t.equal(sender.queuedBytes, 0);
    t.equal(clock.timers, 0);
  });
  await t.test("send() refuses what does not fit its queue", async (t) => {
    backlog = null;
    t.equal(sender.send("a", "x", Buffer.alloc(15_000)), true);
    t.equal(sender.send("b", "x", Buffer.alloc(15_000)), false);
    t.equal(sender.queuedBytes, 15_000);
  });
  await t.test("gives up a body that cannot be sent for the time a receiver keeps it", async (t) => {
    clock.advance(1_002);
    t.equal(sender.queuedBytes, 0);
    t.equal(clock.timers, 0);
    sender.close();
  });
});
