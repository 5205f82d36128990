import t from "tap";
import { decodeReply, encodeRequest } from "../../agent/bus/request-codec.ts";
import { RequestServer } from "../../agent/bus/request-server.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { nodeIdOf } from "./bus-fixture.ts";

const REQUEST = {
  ...{ session: 1, id: 1, method: "slow" },
  ...{ remainingMs: 60_000, silenceMs: 0, body: new Uint8Array(0) },
};

t.test("RequestServer says that it is at work, while it is, to who asks for that", async (t) => {
  const clock = new ManualClock();
  const said: string[] = [];
  const server = new RequestServer({
    limits: { handlersMax: 4, handlersPerPeerMax: 4 },
    clock,
    logger: { log: () => undefined },
    send: (_to, _kind, body) => {
      said.push(decodeReply(body)?.kind ?? "nothing");
      return "sent";
    },
  });
  let finish = (_body: Uint8Array): void => undefined;
  server.handle("slow", () => new Promise((resolve) => (finish = resolve)));
  const from = nodeIdOf("a");
  server.receive(from, encodeRequest(REQUEST));
  clock.advance(20_000);
  t.strictSame(said, [], "who does not ask is told nothing");
  server.receive(from, encodeRequest({ ...REQUEST, id: 2, silenceMs: 1_000 }));
  clock.advance(1_000);
  t.strictSame(said, Array(4).fill("working"));
  finish(Buffer.from("done"));
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(20_000);
  t.strictSame(said.slice(4), ["result"], "nothing after the answer");
  server.receive(from, encodeRequest({ ...REQUEST, id: 3, remainingMs: 2_000, silenceMs: 1_000 }));
  clock.advance(60_000);
  t.ok(said.length <= 5 + 8, "nor after the deadline");
  server.receive(from, encodeRequest({ ...REQUEST, id: 4, silenceMs: 1 }));
  said.length = 0;
  clock.advance(1_000);
  t.ok(said.length <= 20, `${said.length} words in a second, whatever is asked for`);
  server.close();
  t.equal(clock.timers, 0);
});

t.test("RequestServer.close() ends the deadlines of handlers that go on", async (t) => {
  const clock = new ManualClock();
  const server = new RequestServer({
    limits: { handlersMax: 4, handlersPerPeerMax: 4 },
    clock,
    logger: { log: () => undefined },
    send: () => "sent",
  });
  const signals: AbortSignal[] = [];
  server.handle("slow", (_from, _body, { signal }) => {
    signals.push(signal);
    return new Promise(() => undefined);
  });
  t.ok(server.receive(nodeIdOf("a"), encodeRequest(REQUEST)));
  t.match(signals, [{ aborted: false }]);
  t.equal(clock.timers, 1);
  server.close();
  t.match(signals, [{ aborted: true }]);
  t.equal(clock.timers, 0);
});
