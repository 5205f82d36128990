import { meshed, nodeIdOf, openBus, urlOf } from "./bus-fixture.ts";

/** Opens two buses, uses and closes them, and ends when nothing is left that keeps a process alive. */
const a = await openBus("a");
const b = await openBus("b", { seeds: [urlOf(a), "mqtt://127.0.0.1:1"] });
await meshed(a, b);
b.handle("hang", () => new Promise(() => undefined));
const hanging = a
  .request(nodeIdOf("b"), "hang", Buffer.alloc(0), { timeoutMs: 3_600_000 })
  .catch(() => undefined);
await Promise.all([a.close(), b.close(), hanging]);
