import t, { type Test } from "tap";
import type { Bus } from "../../agent/bus/bus.ts";
import { newBusCounters } from "../../agent/bus/bus-counters.ts";
import { DEFAULT_BUS_LIMITS } from "../../agent/bus/bus-limits.ts";
import { chooseRoutes } from "../../agent/bus/choose-routes.ts";
import { Datagrams } from "../../agent/bus/datagrams.ts";
import { EnvelopeCodec } from "../../agent/bus/envelope.ts";
import { HeardPaths } from "../../agent/bus/heard-paths.ts";
import { PathHealth, type PathState } from "../../agent/bus/path-health.ts";
import type { Route } from "../../agent/bus/route.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { Cable, CLUSTER, eventually, nodeIdOf, openBus, presenceOf, urlOf } from "./bus-fixture.ts";

const A = nodeIdOf("a");
const B = nodeIdOf("b");
const HEARTBEAT_MS = 150;
const ELECTION_MS = 900;
const LIMITS = { silenceMs: 450, silenceMsMax: 3_000, probeMs: 900 };

t.test("PathHealth", async (t) => {
  await t.test(
    "state() is silent once what was sent is overdue, and due when that was long ago",
    async (t) => {
      const health = new PathHealth(LIMITS);
      t.equal(health.state(B, 1, 0), "untried");
      health.sent(B, 1, 0);
      t.equal(health.state(B, 1, 450), "untried");
      health.sent(B, 1, 400);
      t.equal(health.state(B, 1, 451), "silent", "more that is sent is no excuse");
      t.equal(health.state(B, 2, 451), "untried");
      t.equal(health.state(A, 1, 451), "untried");
      t.equal(health.state(B, 1, 1_300), "due");
      health.sent(B, 1, 1_300);
      t.equal(health.state(B, 1, 1_301), "silent");
      health.confirmed(B, [1], 1_310);
      t.equal(health.state(B, 1, 1_310), "proven");
      t.equal(health.state(B, 1, 60_000), "untried", "what nobody uses is not silent");
    },
  );

  await t.test("a way that is slow, but makes progress, is not silent", async (t) => {
    const health = new PathHealth(LIMITS);
    const states = new Set<PathState>();
    for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
      health.sent(B, 1, nowMs);
      // Of something sent long before.
      if (nowMs % 400 === 390) health.confirmed(B, [1], nowMs);
      states.add(health.state(B, 1, nowMs));
    }
    t.strictSame([...states], ["untried", "proven"]);
  });

  await t.test(
    "patience grows with what confirmations take, up to its limit, and an outage is no measure",
    async (t) => {
      const health = new PathHealth(LIMITS);
      health.sent(B, 1, 0);
      health.confirmed(B, [1], 400);
      health.sent(B, 1, 1_000);
      t.equal(health.state(B, 1, 1_800), "untried");
      t.equal(health.state(B, 1, 1_801), "silent");
      health.sent(B, 1, 60_000);
      health.confirmed(B, [1], 60_100);
      health.sent(B, 1, 60_200);
      t.equal(health.state(B, 1, 61_100), "due");
      health.confirmed(B, [1], 61_110);
      for (let nowMs = 70_000; nowMs < 70_000 + 50 * 2_900; nowMs += 2_900) {
        health.sent(B, 2, nowMs);
        health.confirmed(B, [2], nowMs + 2_900);
      }
      health.sent(B, 2, 400_000);
      t.equal(health.state(B, 2, 403_000), "untried");
      t.equal(health.state(B, 2, 403_001), "due");
    },
  );

  await t.test("forgetPath() and forgetNode() begin anew", async (t) => {
    const health = new PathHealth(LIMITS);
    for (const path of [1, 2]) health.sent(B, path, 0);
    health.forgetPath(1);
    t.strictSame(
      [1, 2].map((path) => health.state(B, path, 500)),
      ["untried", "silent"],
    );
    health.forgetNode(B);
    t.equal(health.state(B, 2, 500), "untried");
  });
});

t.test("chooseRoutes()", async (t) => {
  const choose = (...states: readonly PathState[]) => {
    const routes = states.map((_, path): Route => ({ path, send: () => true, backlogBytes: () => 0 }));
    const state = ({ path }: Route) => states[path] ?? "untried";
    // The second was used least lately.
    const sentMs = ({ path }: Route) => (path === 1 ? 100 : 200);
    const { routes: chosen, isDetour } = chooseRoutes(routes, { state, sentMs });
    t.equal(isDetour, states[0] === "silent" || states[0] === "due");
    return chosen.map(({ path }) => path);
  };
  t.strictSame(choose(), [], "no way");
  t.strictSame(choose("untried", "proven"), [0], "the shortest");
  t.strictSame(choose("silent", "proven", "untried"), [1], "a detour that works");
  t.strictSame(choose("silent", "untried", "untried", "proven", "proven"), [1, 2, 3], "until one is proven");
  t.strictSame(choose("silent", "due", "proven"), [1, 2], "a silent one is tried again with a copy");
  t.strictSame(choose("due", "untried"), [0, 1]);
  t.strictSame(choose("silent", "silent", "silent"), [1], "all silent take turns");
});

t.test("HeardPaths", async (t) => {
  const open = () => {
    const clock = new ManualClock();
    const limits = { confirmDelayMs: 200, sendersMax: 2, linksMax: 2 };
    const confirmed: string[] = [];
    const heard: HeardPaths = new HeardPaths({
      limits,
      clock,
      confirm: (nodeId) => confirmed.push(`${clock.nowMs()} ${nodeId[0]} ${heard.take(nodeId).join()}`),
    });
    return { clock, confirmed, heard };
  };

  await t.test("what take() has told in time is not confirmed once more", async (t) => {
    const { clock, confirmed, heard } = open();
    heard.note(B, 3);
    heard.note(B, 3);
    heard.note(B, 1);
    clock.advance(100);
    t.strictSame(heard.take(B), [3, 1]);
    t.strictSame(heard.take(B), []);
    clock.advance(10_000);
    t.strictSame(confirmed, []);
    t.equal(clock.timers, 0, "nothing goes on while nothing is heard");
  });

  await t.test("what nobody took is confirmed when it is due, for each node by itself", async (t) => {
    const { clock, confirmed, heard } = open();
    heard.note(B, 3);
    clock.advance(50);
    heard.note(A, 1);
    clock.advance(50);
    heard.take(B);
    clock.advance(50);
    heard.note(B, 4);
    clock.advance(10_000);
    t.strictSame(confirmed, ["250 a 1", "350 b 4"]);
    t.equal(clock.timers, 0);
  });

  await t.test("bounds what a stranger may make it keep", async (t) => {
    const { clock, confirmed, heard } = open();
    for (let path = 0; path < 100; path++) heard.note(B, path);
    t.strictSame(heard.take(B), [0, 1, 2]);
    for (const digit of "abcdef") heard.note(nodeIdOf(digit), 0);
    clock.advance(10_000);
    t.strictSame(confirmed, ["200 a 0", "200 b 0"]);
  });
});

t.test("Datagrams on a detour copy small ones until a way is proven; a large one goes one way", async (t) => {
  const clock = new ManualClock();
  const taken: number[] = [];
  const routes = [0, 1, 2].map((path): Route => {
    return { path, send: () => taken.push(path) > 0, backlogBytes: () => 0 };
  });
  const datagrams = new Datagrams({
    ...{ cluster: CLUSTER, nodeId: A, session: 1, limits: DEFAULT_BUS_LIMITS, clock },
    counters: newBusCounters(),
    routesTo: () => routes,
    health: new PathHealth(DEFAULT_BUS_LIMITS),
  });
  t.teardown(() => datagrams.close());
  const peer = new EnvelopeCodec({ cluster: CLUSTER, nodeId: B, session: 1 });
  const routesOf = (bytes: number): readonly number[] => {
    taken.length = 0;
    datagrams.send(B, "x", Buffer.alloc(bytes));
    return [...taken];
  };
  const { copyBytesMax, silenceMs } = DEFAULT_BUS_LIMITS;
  t.strictSame(routesOf(1), [0]);
  clock.advance(silenceMs + 1);
  t.strictSame(routesOf(copyBytesMax), [1, 2]);
  t.strictSame(routesOf(copyBytesMax + 1), [2]);
  const common = { to: A, seq: 0, path: 0, kind: "y", body: Buffer.alloc(0), fragment: null };
  datagrams.receive(peer.encode({ ...common, heard: [1] }));
  t.strictSame(routesOf(copyBytesMax), [1], "proven");
  t.strictSame(routesOf(copyBytesMax + 1), [1]);
});

t.test("Datagrams drop nothing that counts where there is no way to confirm on", async (t) => {
  const clock = new ManualClock();
  const counters = newBusCounters();
  const datagrams = new Datagrams({
    ...{ cluster: CLUSTER, nodeId: A, session: 1, limits: DEFAULT_BUS_LIMITS, clock, counters },
    routesTo: () => [],
    health: new PathHealth(DEFAULT_BUS_LIMITS),
  });
  t.teardown(() => datagrams.close());
  datagrams.handle("y", () => undefined);
  const peer = new EnvelopeCodec({ cluster: CLUSTER, nodeId: B, session: 1 });
  const common = { to: A, seq: 0, path: 0, kind: "y", body: Buffer.alloc(0), fragment: null };
  datagrams.receive(peer.encode({ ...common, heard: [] }));
  clock.advance(DEFAULT_BUS_LIMITS.confirmDelayMs + 1);
  t.strictSame(counters, { ...newBusCounters(), received: 1 });
});

/** a and b, linked to each other through cables of ours, and c, which both are linked to. */
async function openTriangle(t: Test) {
  const c = await openBus("c");
  const a = await openBus("a", { seeds: [urlOf(c)] });
  const b = await openBus("b", { seeds: [urlOf(c)] });
  const toA = await Cable.to(urlOf(a));
  const toB = await Cable.to(urlOf(b));
  t.teardown(async () => {
    toA.cut();
    toB.cut();
    await Promise.all([a.close(), b.close(), c.close()]);
  });
  a.announce(presenceOf("a", toA.url));
  b.announce(presenceOf("b", toB.url));
  const isLinked = (bus: Bus, url: string) =>
    bus.links().some((link) => link.url === url && link.up && link.nodeId !== null);
  await eventually(
    "a and b are linked through the cables only",
    () => isLinked(a, toB.url) && isLinked(b, toA.url) && [a, b].every((bus) => bus.links().length === 2),
  );
  return { a, b, toA, toB };
}

/** What consensus does while nobody wants anything: `leader` sends, `follower` answers. */
function beat(t: Test, leader: Bus, leaderId: string, follower: Bus, followerId: string) {
  const heard = { follower: [] as number[], leader: [] as number[] };
  follower.onDatagram("beat", () => {
    heard.follower.push(performance.now());
    follower.send(leaderId, "answer", Buffer.alloc(20));
  });
  leader.onDatagram("answer", () => heard.leader.push(performance.now()));
  const timer = setInterval(() => leader.send(followerId, "beat", Buffer.alloc(20)), HEARTBEAT_MS);
  t.teardown(() => clearInterval(timer));
  return heard;
}

t.test("a connection that stays open and carries nothing", async (t) => {
  for (const { name, stop } of [
    {
      name: "from a to b",
      stop: [
        ["toB", "toBroker"],
        ["toA", "fromBroker"],
      ],
    },
    {
      name: "from b to a",
      stop: [
        ["toA", "toBroker"],
        ["toB", "fromBroker"],
      ],
    },
  ] as const) {
    await t.test(
      `${name} is gone round before a follower loses patience, and used again when it carries`,
      async (t) => {
        const { a, b, ...cables } = await openTriangle(t);
        const heard = beat(t, a, A, b, B);
        await eventually("both are heard", () => heard.leader.length >= 3);
        for (const [cable, direction] of stop) cables[cable].stop(direction);
        const stoppedMs = performance.now();
        const gaps = (times: readonly number[]) =>
          times.slice(1).map((atMs, nth) => atMs - (times[nth] ?? atMs));
        await eventually("heard for a while on the detour", () =>
          [heard.follower, heard.leader].every(
            (times) => times.filter((at) => at > stoppedMs + 1_500).length > 3,
          ),
        );
        const worst = [heard.follower, heard.leader].map((times) => Math.max(...gaps(times)));
        t.comment(`longest silence: b ${worst[0]?.toFixed(0)} ms, a ${worst[1]?.toFixed(0)} ms`);
        // One election timeout; twice that on a machine that is busy with something else.
        for (const gapMs of worst)
          t.ok(gapMs < 2 * ELECTION_MS, `nobody hears nothing for ${gapMs.toFixed(0)} ms`);
        t.ok(
          a.links().every(({ up }) => up),
          "MQTT has not noticed anything yet",
        );

        for (const [cable, direction] of stop) cables[cable].resume(direction);
        let detoured = [a, b].map((bus) => bus.counters().detoured).join();
        t.not(detoured, "0,0");
        let straightSince = heard.leader.length;
        const resumedMs = performance.now();
        let straightMs = resumedMs;
        await eventually("ten beats without a detour", () => {
          const now = [a, b].map((bus) => bus.counters().detoured).join();
          if (now !== detoured) {
            straightSince = heard.leader.length;
            straightMs = performance.now();
          }
          detoured = now;
          return heard.leader.length >= straightSince + 10;
        });
        t.comment(`last detour ${(straightMs - resumedMs).toFixed(0)} ms after it carries again`);
      },
    );
  }
});

t.test("confirming costs a node that only beats no message", async (t) => {
  const { a, b } = await openTriangle(t);
  const heard = beat(t, a, A, b, B);
  await eventually("both are heard", () => heard.leader.length >= 3);
  const before = [a, b].map((bus) => bus.counters().sent);
  const beats = heard.leader.length;
  await eventually("ten beats", () => heard.leader.length >= beats + 10);
  const sent = [a, b].map((bus, nth) => bus.counters().sent - (before[nth] ?? 0));
  t.comment(`${sent.join(" and ")} datagrams for ${heard.leader.length - beats} beats`);
  for (const count of sent) t.ok(count <= heard.leader.length - beats + 2);
  t.ok(DEFAULT_BUS_LIMITS.confirmDelayMs > HEARTBEAT_MS);
});
