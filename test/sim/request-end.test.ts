import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { endOfChange, endOfRead, endOfWrite } from "./request-end.ts";
import { ProcessDied } from "./sim-process.ts";
import { SimTransport } from "./sim-transport.ts";
import { Violation } from "./violation.ts";

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
    session: "0.1",
    nodeIds: ["a", "b"],
    send: (_to, packet) => sent.push(packet.kind === "refusal" ? packet.code : packet.kind),
    peers: () => new Map(),
    setTimer: () => ({ cancel: () => undefined }),
    onProgramError: (error) => bugs.push(error),
    isAlive: () => true,
  });
  transport.handle("broken", () => Promise.reject(new TypeError("x is not a function")));
  transport.handle("busy", () => Promise.reject(new TrivetError("busy", "x")));
  for (const method of ["broken", "busy"])
    transport.receive(1, { kind: "request", id: method, method, body: Buffer.alloc(0) });
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(sent, ["busy"]);
  t.match(bugs, [TypeError]);
  t.end();
});
