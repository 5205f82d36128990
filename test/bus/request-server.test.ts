import t from "tap";
import { encodeRequest } from "../../agent/bus/request-codec.ts";
import { RequestServer } from "../../agent/bus/request-server.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { nodeIdOf } from "./bus-fixture.ts";

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
  const request = { session: 1, id: 1, method: "slow", remainingMs: 60_000, body: new Uint8Array(0) };
  t.ok(server.receive(nodeIdOf("a"), encodeRequest(request)));
  t.match(signals, [{ aborted: false }]);
  t.equal(clock.timers, 1);
  server.close();
  t.match(signals, [{ aborted: true }]);
  t.equal(clock.timers, 0);
});
