import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import t from "tap";
import { type BusLimits, DEFAULT_BUS_LIMITS } from "../../agent/bus/bus-limits.ts";
import { EmbeddedBroker } from "../../agent/bus/embedded-broker.ts";
import { HUB_TOPIC, inboxTopic, presenceFilter, presenceTopic } from "../../agent/bus/topics.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import { CLUSTER, eventually, nodeIdOf, quietLogger, rawClient } from "./bus-fixture.ts";

interface Teardown {
  teardown(run: () => Promise<void>): void;
}

const KIB = 1024;
const D = nodeIdOf("d");
const E = nodeIdOf("e");

async function openBroker(t: Teardown, limits: Partial<BusLimits> = {}): Promise<EmbeddedBroker> {
  const broker = await EmbeddedBroker.open({
    nodeId: nodeIdOf("a"),
    listen: { host: "127.0.0.1", port: 0 },
    limits: { ...DEFAULT_BUS_LIMITS, ...limits },
    clock: systemClock,
    logger: quietLogger,
  });
  t.teardown(() => broker.close());
  return broker;
}

async function rawSocket(broker: EmbeddedBroker): Promise<Socket> {
  const { hostname, port } = new URL(broker.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** CONNECT, MQTT 3.1.1, clean session, client id "x". */
function connectPacket(keepaliveS: number): Buffer {
  return Buffer.from([0x10, 13, 0, 4, ...Buffer.from("MQTT"), 4, 2, 0, keepaliveS, 0, 1, 0x78]);
}

t.test("a client that never reads", async (t) => {
  const limits = { brokerClientQueueBytesMax: 256 * KIB, linkQueueBytesMax: 256 * KIB };

  await t.test("costs a bounded queue and delays nobody else", async (t) => {
    const broker = await openBroker(t, limits);
    const slow = await rawClient(broker.url, { clientId: `${E}-slow` });
    await slow.client.subscribeAsync(inboxTopic(CLUSTER, E));
    slow.socket.unpipe();
    slow.socket.pause();
    const fast = await rawClient(broker.url, { clientId: `${D}-fast` });
    await fast.client.subscribeAsync(inboxTopic(CLUSTER, D));
    const publisher = await rawClient(broker.url);
    let arrived = 0;
    let queuedBytes = 0;
    fast.client.on("message", () => {
      arrived += 1;
      queuedBytes = Math.max(queuedBytes, broker.backlogBytes(inboxTopic(CLUSTER, E)));
    });
    const block = Buffer.alloc(64 * KIB);
    const rounds = 400;
    for (let round = 0; round < rounds; round++) {
      publisher.client.publish(inboxTopic(CLUSTER, E), block);
      publisher.client.publish(inboxTopic(CLUSTER, D), Buffer.from([1]));
      if (publisher.socket.writableLength > 1024 * KIB) await once(publisher.socket, "drain");
    }
    await eventually("the other client got everything", () => arrived === rounds);
    t.ok(broker.droppedSlow > 0, `${broker.droppedSlow} dropped`);
    t.ok(queuedBytes > 64 * KIB && queuedBytes < 1024 * KIB, `at most ${queuedBytes} bytes were queued`);
    let taken = 0;
    while (taken < 10 && broker.send(inboxTopic(CLUSTER, E), block)) taken += 1;
    t.ok(taken < 10, "send() says that the way is full");
    for (const { client } of [slow, fast, publisher]) client.end(true);
  });

  await t.test("is cut off when it is presence that it does not read", async (t) => {
    const broker = await openBroker(t, limits);
    const slow = await rawClient(broker.url, { clientId: `${E}-slow` });
    await slow.client.subscribeAsync(presenceFilter(CLUSTER), { qos: 1 });
    slow.socket.unpipe();
    slow.socket.pause();
    const publisher = await rawClient(broker.url, { clientId: `${D}-p` });
    const body = Buffer.alloc(16 * KIB, " ");
    let rounds = 0;
    while (broker.connections === 2 && rounds < 4_000) {
      rounds += 1;
      await publisher.client.publishAsync(presenceTopic(CLUSTER, D), body, { qos: 1, retain: true });
    }
    t.equal(broker.connections, 1);
    slow.socket.destroy();
    publisher.client.end(true);
  });
});

t.test("packets above the limit end the connection by their header", async (t) => {
  const broker = await openBroker(t);
  const hugeLength = [0xff, 0xff, 0xff, 0x7f];
  await t.test("before CONNECT", async () => {
    const socket = await rawSocket(broker);
    socket.write(Buffer.from([0x10, ...hugeLength, 0, 4]));
    await once(socket, "close");
  });
  await t.test("after it, byte by byte", async () => {
    const socket = await rawSocket(broker);
    socket.setNoDelay(true);
    socket.write(connectPacket(60));
    await once(socket, "data");
    for (const byte of [0x30, ...hugeLength]) socket.write(Buffer.from([byte]));
    await once(socket, "close");
  });
  await t.test("garbage too", async () => {
    const socket = await rawSocket(broker);
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await once(socket, "close");
  });
  const still = await rawClient(broker.url);
  t.ok(still.client.connected, "the broker is still there");
  still.client.end(true);
});

t.test("a connection that says nothing ends", async (t) => {
  const broker = await openBroker(t, { brokerConnectTimeoutMs: 50, brokerKeepaliveMaxS: 60 });
  await t.test("without CONNECT, after the time for it", async () => {
    const socket = await rawSocket(broker);
    await once(socket, "close");
  });
  await t.test("after one and a half times its keep-alive", async () => {
    const socket = await rawSocket(broker);
    socket.resume();
    socket.write(connectPacket(1));
    await once(socket, "close");
  });
  await t.test("at once, if it wants no keep-alive or too long a one", async (t) => {
    for (const keepalive of [0, 61]) {
      const refused = await rawClient(broker.url, { keepalive });
      t.equal(refused.client.connected, false);
      await refused.ended;
    }
  });
});

t.test("what a client may not do ends its connection, and nothing else", async (t) => {
  const broker = await openBroker(t, { brokerRetainedMax: 2 });
  const witness = await rawClient(broker.url);
  const presence = presenceTopic(CLUSTER, D);
  const attempts = [
    { name: "another topic", topic: "home/light", qos: 0, retain: false },
    { name: "the broker's own topics", topic: "$SYS/x", qos: 0, retain: false },
    { name: "who the hub is", topic: HUB_TOPIC, qos: 1, retain: true },
    { name: "another node's presence", topic: presenceTopic(CLUSTER, E), qos: 1, retain: true },
    { name: "QoS 2", topic: inboxTopic(CLUSTER, E), qos: 2, retain: false },
    { name: "a retained datagram", topic: inboxTopic(CLUSTER, E), qos: 0, retain: true },
    { name: "presence above the limit", topic: presence, qos: 1, retain: true, bytes: 17 * KIB },
  ] as const;
  for (const { name, topic, qos, retain, ...rest } of attempts) {
    await t.test(`publish ${name}`, async () => {
      const { client, ended } = await rawClient(broker.url, { clientId: `${D}-bad` });
      client.publish(topic, Buffer.alloc("bytes" in rest ? rest.bytes : 2, " "), { qos, retain });
      await ended;
    });
  }

  await t.test("presence of more nodes than it holds", async () => {
    for (const digit of ["1", "2"]) {
      const { client } = await rawClient(broker.url, { clientId: nodeIdOf(digit) });
      const topic = presenceTopic(CLUSTER, nodeIdOf(digit));
      await client.publishAsync(topic, "x", { qos: 1, retain: true });
      client.end(true);
    }
    const { client, ended } = await rawClient(broker.url, { clientId: nodeIdOf("3") });
    client.publish(presenceTopic(CLUSTER, nodeIdOf("3")), "x", { qos: 1, retain: true });
    await ended;
  });

  await t.test("a persistent session", async (t) => {
    const { client, ended } = await rawClient(broker.url, { clean: false, clientId: "keep" });
    await ended;
    t.equal(client.connected, false);
  });

  await t.test("subscriptions to what is not its own are refused", async (t) => {
    const { client } = await rawClient(broker.url, { clientId: `${D}-nosy` });
    for (const filter of ["#", "$SYS/#", "trivet/#", inboxTopic(CLUSTER, E), "trivet/1/cluster/+/inbox/+"]) {
      await t.rejects(client.subscribeAsync(filter), `refused: ${filter}`);
    }
    const granted = await client.subscribeAsync([HUB_TOPIC, inboxTopic(CLUSTER, D), presenceFilter(CLUSTER)]);
    t.strictSame(
      granted.map(({ qos }) => qos),
      [0, 0, 0],
    );
    client.end(true);
  });

  await t.test("more subscriptions than the limit are refused", async (t) => {
    const { client } = await rawClient(broker.url);
    const filters = Array.from({ length: 40 }, (_, index) => presenceFilter(`cluster${index}`));
    let granted = 0;
    for (const filter of filters) {
      await client.subscribeAsync(filter).then(
        () => granted++,
        () => 0,
      );
    }
    t.equal(granted, DEFAULT_BUS_LIMITS.brokerSubscriptionsMax);
    client.end(true);
  });

  t.ok(witness.client.connected, "a bystander noticed nothing");
  witness.client.end(true);
});

t.test("connections above the limit are closed", async (t) => {
  const broker = await openBroker(t, { brokerConnectionsMax: 2 });
  const sockets = [await rawSocket(broker), await rawSocket(broker)];
  const third = await rawSocket(broker);
  await once(third, "close");
  for (const socket of sockets) socket.destroy();
});

t.test("it tells a client whose broker it is", async (t) => {
  const broker = await openBroker(t);
  const { client } = await rawClient(broker.url);
  const message = new Promise<readonly [string, Buffer]>((resolve) => {
    client.once("message", (topic, payload) => resolve([topic, payload]));
  });
  await client.subscribeAsync(HUB_TOPIC);
  const [topic, payload] = await message;
  t.equal(`${topic} ${payload}`, `${HUB_TOPIC} ${nodeIdOf("a")}`);
  client.end(true);
});

t.test("close() leaves no handle open: a process that has done its work exits by itself", async (t) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "bus-exit-child.js")], {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: 10_000,
  });
  const [code, signal] = await once(child, "exit");
  t.strictSame({ code, signal }, { code: 0, signal: null });
});
