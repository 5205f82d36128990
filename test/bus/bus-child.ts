import { nodeIdOf, openBus } from "./bus-fixture.ts";

/** A node for tests that kill it: `node bus-child.js DIGIT SESSION SEED...` prints its broker's URL. */
const [digit = "f", session = "1", ...seeds] = process.argv.slice(2);
const bus = await openBus(digit, { session: Number(session), seeds });
bus.handle("echo", (_from, body) => body);
bus.handle("hang", () => new Promise(() => undefined));
bus.onDatagram("ping", (from, body) => {
  bus.send(from, "pong", body);
});
let counted = 0;
bus.onDatagram("count", () => {
  counted += 1;
});
bus.handle("counted", () => Buffer.from(String(counted)));
process.stdout.write(`${bus.brokerUrl}\n`);
bus.onPeer((event) => {
  if (event.nodeId === nodeIdOf("0") && event.kind === "down") process.exit(0);
});
