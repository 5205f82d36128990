import t from "tap";
import { decodePresence, encodePresence } from "../../agent/bus/presence.ts";
import { presenceTopic } from "../../agent/bus/topics.ts";
import {
  ChildNode,
  CLUSTER,
  eventually,
  meshed,
  nextPeerEvent,
  nodeIdOf,
  openBus,
  presenceOf,
  rawClient,
  urlOf,
} from "./bus-fixture.ts";

const F = nodeIdOf("f");

t.test("a node killed with SIGKILL", async (t) => {
  const a = await openBus("a");
  const b = await openBus("b", { seeds: [urlOf(a)] });
  let child = await ChildNode.start("f", 1, [urlOf(a)]);
  t.teardown(async () => {
    child.process.kill("SIGKILL");
    await Promise.all([a.close(), b.close()]);
  });
  const linkedToChild = () =>
    [a, b].every((bus) => bus.links().some((link) => link.up && link.nodeId === F)) &&
    [a, b].every((bus) => bus.peers().get(F)?.up === true);
  await meshed(a, b);
  await eventually("all linked to the child", linkedToChild);

  await t.test(
    "is suspected and down in milliseconds; what waits for it rejects with peer-down",
    async (t) => {
      const kinds: string[] = [];
      const stop = b.onPeer((event) => kinds.push(`${event.kind} ${event.nodeId[0]}`));
      const suspected = nextPeerEvent(b, (event) => event.kind === "suspect").then(() => performance.now());
      const down = nextPeerEvent(b, (event) => event.kind === "down").then(() => performance.now());
      const request = b.request(F, "hang", Buffer.alloc(0), { timeoutMs: 60_000 });
      const rejected = t.rejects(request, { code: "peer-down" });
      const killedMs = await child.kill();
      const [suspectedMs, downMs] = await Promise.all([suspected, down]);
      await rejected;
      stop();
      t.strictSame(kinds, ["suspect f", "down f"]);
      t.ok(downMs - killedMs < 500, "down within 500 ms");
      t.comment(
        `SIGKILL to suspect ${(suspectedMs - killedMs).toFixed(1)} ms, to down ${(downMs - killedMs).toFixed(1)} ms`,
      );
    },
  );

  await t.test("is up again, and linked, when it restarts with a higher session", async (t) => {
    const up = nextPeerEvent(a, (event) => event.kind === "up" && event.nodeId === F);
    const startMs = performance.now();
    child = await ChildNode.start("f", 2, [urlOf(a)]);
    t.equal((await up).peer.session, 2);
    await eventually("linked again", linkedToChild);
    t.comment(`process start to linked everywhere: ${(performance.now() - startMs).toFixed(0)} ms`);
    const answer = await b.request(F, "echo", Buffer.from("back"), { timeoutMs: 5_000 });
    t.equal(Buffer.from(answer).toString(), "back");
  });

  await t.test("is not taken down by a late will of its older session", async (t) => {
    const { client } = await rawClient(urlOf(a), { clientId: `${F}-late` });
    const late = { nodeId: F, session: 1, revision: 9, up: false, body: presenceOf("late", null) };
    const events: string[] = [];
    const stop = a.onPeer((event) => events.push(event.kind));
    await client.publishAsync(presenceTopic(CLUSTER, F), encodePresence(late), { qos: 1, retain: true });
    // What is retained is what a latecomer hears, so the node itself must put it right.
    let retained: ReturnType<typeof decodePresence> = null;
    client.on("message", (_topic, payload) => {
      retained = decodePresence(payload);
    });
    await client.subscribeAsync(presenceTopic(CLUSTER, F));
    await eventually("the node has put it right", () => retained?.up === true && retained.session === 2);
    stop();
    t.notOk(events.includes("down"));
    t.notOk(events.includes("suspect"));
    t.equal(a.peers().get(F)?.session, 2);
    client.end(true);
  });

  await t.test("that restarts faster than its death is noticed goes down and up", async (t) => {
    const kinds: string[] = [];
    const stop = a.onPeer((event) => event.nodeId === F && kinds.push(`${event.kind} ${event.peer.session}`));
    const { client } = await rawClient(urlOf(a), { clientId: `${F}-early` });
    const early = { nodeId: F, session: 3, revision: 1, up: true, body: presenceOf("f", null) };
    const up = nextPeerEvent(a, (event) => event.kind === "up" && event.nodeId === F);
    await client.publishAsync(presenceTopic(CLUSTER, F), encodePresence(early), { qos: 1, retain: false });
    await up;
    stop();
    t.strictSame(kinds, ["down 2", "up 3"]);
    client.end(true);
  });
});

t.test("a broker that goes away and comes back is linked to again fast", async (t) => {
  const first = await openBus("a");
  const port = Number(new URL(urlOf(first)).port);
  const b = await openBus("b", { seeds: [urlOf(first)] });
  await meshed(first, b);
  await first.close();
  const second = await openBus("a", { session: 2, listen: { host: "127.0.0.1", port } });
  const startMs = performance.now();
  t.teardown(() => Promise.all([second.close(), b.close()]));
  await meshed(second, b);
  t.comment(`linked again after ${(performance.now() - startMs).toFixed(0)} ms`);
  t.equal(b.peers().get(nodeIdOf("a"))?.session, 2);
});
