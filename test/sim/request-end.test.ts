import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { BusRefusals } from "./bus-refusals.ts";
import { endOfChange, endOfRead, endOfWrite } from "./request-end.ts";
import type { Packet } from "./sim-network.ts";
import { ProcessDied } from "./sim-process.ts";
import { SimRandom } from "./sim-random.ts";
import { SimTransport } from "./sim-transport.ts";
import { Violation } from "./violation.ts";

const NONE = new BusRefusals(new SimRandom(1), { noRouteRate: 0, tooManyRate: 0, busyRate: 0 }, () => true);

t.test("endOfWrite() tells what vouches for nothing done from what is in doubt", (t) => {
  t.equal(endOfWrite(new TrivetError("no-leader", "x")), "refused");
  t.equal(endOfWrite(new TrivetError("outcome-unknown", "x")), "unknown");
  t.equal(endOfWrite(new ProcessDied()), "unknown");
  t.equal(endOfRead(new TrivetError("timeout", "x")), "refused");
  t.equal(endOfChange(new TrivetError("timeout", "x")), "unknown");
  t.end();
});

t.test("no end is made of what a client is not to see", (t) => {
  t.throws(() => endOfWrite(new TrivetError("session-stale", "x")), Violation);
  t.throws(() => endOfRead(new TrivetError("malformed-command", "x")), Violation);
  t.throws(() => endOfChange(new TrivetError("invalid-configuration", "x")), Violation);
  t.throws(() => endOfRead(new TypeError("x")), TypeError);
  t.end();
});

t.test("SimTransport tells of a handler's bug, and answers with what is no bug", async (t) => {
  const sent: string[] = [];
  const bugs: unknown[] = [];
  const transport = new SimTransport({
    session: 1,
    nodeIds: ["a", "b"],
    send: (_to, { message }) => sent.push(message.kind === "refusal" ? message.code : message.kind),
    sessionOf: () => 1,
    peers: () => new Map(),
    clock: new ManualClock(),
    refusals: NONE,
    onProgramError: (error) => bugs.push(error),
    isAlive: () => true,
  });
  transport.handle("broken", () => Promise.reject(new TypeError("x is not a function")));
  transport.handle("busy", () => Promise.reject(new TrivetError("busy", "x")));
  for (const [seq, method] of ["broken", "busy"].entries()) {
    const request = { kind: "request", id: method, method, timeoutMs: 1_000, silenceMs: 0 } as const;
    transport.receive(1, { session: 1, seq, message: { ...request, body: Buffer.alloc(0) } });
  }
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(sent, ["busy"]);
  t.match(bugs, [TypeError]);
  t.end();
});

t.test("SimTransport takes a doubled request once, and the process after it once more", async (t) => {
  const start = (): { readonly transport: SimTransport; readonly asked: string[] } => {
    const asked: string[] = [];
    const transport = new SimTransport({
      ...{ session: 1, nodeIds: ["a", "b"], clock: new ManualClock() },
      sessionOf: () => 1,
      ...{ send: () => undefined, peers: () => new Map(), isAlive: () => true },
      refusals: NONE,
      onProgramError: (error) => t.fail("no handler has a bug", { error }),
    });
    transport.handle("once", async (_from, body) => {
      asked.push(Buffer.from(body).toString());
      return body;
    });
    return { transport, asked };
  };
  const packet = (session: number, seq: number, text: string): Packet => {
    const body = Buffer.from(text);
    const times = { timeoutMs: 1_000, silenceMs: 0 };
    return { session, seq, message: { kind: "request", id: text, method: "once", ...times, body } };
  };
  const first = start();
  for (const each of [packet(1, 0, "x"), packet(1, 0, "x"), packet(1, 1, "y")])
    first.transport.receive(1, each);
  t.strictSame(first.asked, ["x", "y"]);
  const next = start();
  for (const each of [packet(1, 0, "x"), packet(2, 0, "z"), packet(1, 1, "y")])
    next.transport.receive(1, each);
  t.strictSame(next.asked, ["x", "z"], "until it hears of a newer process of the sender");
});
