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
