import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { t } from "tap";
import { AgentProcess } from "../cluster/agent-process.ts";
import { freePorts } from "../cluster/free-ports.ts";
import { TestCluster } from "../cluster/test-cluster.ts";
import { checkKept } from "./check-kept.ts";
import { MqttPackets, publishedTopic } from "./mqtt-packets.ts";
import { type Mischief, MqttProxy } from "./mqtt-proxy.ts";
import { RecordedClients } from "./recorded-clients.ts";
import { SiteBroker } from "./site-broker.ts";

const SIZE = 3;
/** `npm run test:network` asks for more. */
const ROUNDS = Number(process.env["TRIVET_NETWORK_ROUNDS"] ?? 1);
const SEED = Number(process.env["TRIVET_NETWORK_SEED"] ?? 1);
const WRITES_PER_STEP = 15;

const MISCHIEF: Mischief = { loss: 0.01, doubling: 0.1, delay: 0.2 };

t.test("MqttPackets finds the packets however the stream is cut", async (t) => {
  const publish = (topic: string, payload: number): Buffer => {
    const name = Buffer.from(topic);
    const remaining = 2 + name.length + payload;
    const length: number[] = [];
    for (let left = remaining; left > 0 || length.length === 0; left = Math.floor(left / 128))
      length.push((left % 128) + (left >= 128 ? 128 : 0));
    const fixed = Buffer.from([0x30, ...length, name.length >> 8, name.length & 0xff]);
    return Buffer.concat([fixed, name, Buffer.alloc(payload, 0x30)]);
  };
  const ping = Buffer.from([0xc0, 0]);
  const packet = fc.oneof(
    fc.constant(ping),
    fc.tuple(fc.string(), fc.nat(40_000)).map((of) => publish(...of)),
  );
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 6 }), fc.array(fc.nat(200_000)), (packets, cuts) => {
      const stream = Buffer.concat(packets);
      const bounds = [0, ...cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b), stream.length];
      const reader = new MqttPackets();
      const found = bounds.slice(1).flatMap((end, nth) => reader.push(stream.subarray(bounds[nth], end)));
      return found.length === packets.length && found.every((one, nth) => one.equals(packets[nth] ?? ping));
    }),
  );
  t.equal(publishedTopic(publish("a/inbox/b", 300)), "a/inbox/b");
  t.equal(publishedTopic(ping), null);
});

t.test(
  "three agents whose messages are lost, doubled, delayed and reordered stay linearizable",
  { timeout: 60_000 + 60_000 * ROUNDS },
  async (t) => {
    const broker = await SiteBroker.open();
    t.teardown(() => broker.close());
    const proxy = await MqttProxy.open({ brokerPort: broker.port, seed: SEED });
    t.teardown(() => proxy.close());
    const directory = await mkdtemp(join(tmpdir(), "trivet-test-"));
    const ports = await freePorts(SIZE);
    // Without brokers of their own all they have is the one behind the proxy.
    const agents = ports.map((http, nth) => {
      const name = `n${nth + 1}`;
      const args = ["--bootstrap-expect", String(SIZE), "--peer", proxy.url];
      return new AgentProcess({ name, directory: join(directory, name), http, mqtt: null, args });
    });
    const cluster = await TestCluster.startAll(directory, agents);
    t.teardown(() => cluster.end());
    const workload = await RecordedClients.start(cluster, { perAgent: 3, seed: SEED });
    t.teardown(() => workload.stop());

    proxy.setMischief(MISCHIEF);
    const others = (than: AgentProcess) => agents.filter((agent) => agent !== than);
    const step = async (what: string, through: readonly AgentProcess[]): Promise<void> => {
      const startMs = performance.now();
      const nextMs = await workload.firstWriteAfter(startMs, through);
      await workload.writesThroughEach(through, WRITES_PER_STEP, startMs);
      const [next, each] = [nextMs, performance.now()].map((at) => `${(at - startMs).toFixed(0)} ms`);
      t.comment(
        `${what}: next write acknowledged after ${next}, ${WRITES_PER_STEP} through each of ${through.length} nodes after ${each}`,
      );
    };
    for (let round = 0; round < ROUNDS; round++) {
      await step("mischief", agents);
      const killed = await cluster.untilLed();
      await killed.kill();
      await step("and the leader killed", others(killed));
      killed.start();
      await step("and back", agents);
      const frozen = await cluster.untilLed();
      frozen.signal("SIGSTOP");
      await step("and the leader frozen", others(frozen));
      frozen.signal("SIGCONT");
      await step("and thawed", agents);
    }
    await checkKept(t, cluster, workload);
    t.comment(`datagrams: ${JSON.stringify(proxy.counts)}`);
    for (const [what, count] of Object.entries(proxy.counts)) t.ok(count > 10, `${count} datagrams ${what}`);
  },
);
