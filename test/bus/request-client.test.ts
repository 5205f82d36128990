import t from "tap";
import { RequestClient } from "../../agent/bus/request-client.ts";
import { decodeRequest, encodeReply } from "../../agent/bus/request-codec.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { nodeIdOf } from "./bus-fixture.ts";

const OURS = 5;
const B = nodeIdOf("b");

t.test("RequestClient takes a refusal from the process that it has asked only", async (t) => {
  const clock = new ManualClock();
  let known: number | null = 7;
  const ids: number[] = [];
  const client = new RequestClient({
    session: OURS,
    limits: { requestsMax: 4 },
    clock,
    sessionOf: () => known,
    send: (_to, _kind, body) => {
      ids.push(decodeRequest(body)?.id ?? -1);
      return "sent";
    },
  });
  const ask = (): Promise<Uint8Array> => client.request(B, "write", new Uint8Array(0), { timeoutMs: 1_000 });
  const refusalOf = (id = -1) =>
    encodeReply({ kind: "error", session: OURS, id, code: "not-leader", message: "x" });
  const [asked, restarted, unknown, done] = [ask(), ask(), ask(), ask()];
  t.ok(client.receive(B, refusalOf(ids[0]), 7));
  await t.rejects(asked, { code: "not-leader" });
  // A copy of the question reached the node's next process.
  t.ok(client.receive(B, refusalOf(ids[1]), 8));
  await t.rejects(restarted, { code: "peer-down" }, "what the one before did is unknown");
  t.ok(
    client.receive(
      B,
      encodeReply({ kind: "result", session: OURS, id: ids[2] ?? -1, body: Buffer.from("r") }),
      8,
    ),
  );
  t.equal(Buffer.from(await unknown).toString(), "r", "a result is a result");
  known = null;
  t.ok(client.receive(B, refusalOf(ids[3]), 7));
  await t.rejects(done, { code: "not-leader" });
  const stranger = ask();
  t.ok(client.receive(B, refusalOf(ids[4]), 3));
  await t.rejects(
    stranger,
    { code: "not-leader" },
    "where no session was known, there is nothing to compare",
  );
  t.equal(clock.timers, 0);
});

t.test("RequestClient waits for who is at work, and no longer for who is silent", async (t) => {
  const clock = new ManualClock();
  let id = -1;
  const client = new RequestClient({
    session: OURS,
    limits: { requestsMax: 4 },
    clock,
    sessionOf: () => 7,
    send: (_to, _kind, body) => {
      id = decodeRequest(body)?.id ?? -1;
      return "sent";
    },
  });
  let words = 0;
  const patience = { timeoutMs: 60_000, silenceMs: 1_000, onWorking: () => words++ };
  const ask = (): Promise<Uint8Array> => client.request(B, "write", new Uint8Array(0), patience);
  const say = (sender: number): boolean =>
    client.receive(B, encodeReply({ kind: "working", session: OURS, id }), sender);
  const answered = ask();
  for (let passedMs = 0; passedMs < 10_000; passedMs += 900) {
    clock.advance(900);
    t.ok(say(7));
  }
  t.equal(words, 12);
  client.receive(B, encodeReply({ kind: "result", session: OURS, id, body: Buffer.from("r") }), 7);
  t.equal(Buffer.from(await answered).toString(), "r");
  t.notOk(say(7), "nobody waits any more");
  const silent = t.rejects(ask(), { code: "request-timeout" });
  clock.advance(900);
  say(8);
  clock.advance(101);
  await silent;
  t.equal(words, 12, "that the next process works on a copy says nothing of this one");
  const endless = t.rejects(ask(), { code: "request-timeout" });
  for (let passedMs = 0; passedMs < 60_000; passedMs += 500) {
    say(7);
    clock.advance(500);
  }
  await endless;
  t.equal(clock.timers, 0);
});
