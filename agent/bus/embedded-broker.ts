import { createServer, type Server, type Socket } from "node:net";
import { Aedes, type AedesOptions } from "aedes";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { messageOf, TrivetError } from "../platform/trivet-error.ts";
import { maySubscribe, refuseConnect, refusePublish } from "./broker-access.ts";
import type { BusLimits } from "./bus-limits.ts";
import { FrameGuard } from "./frame-guard.ts";
import { OWN_BROKER_PATH, type Route } from "./route.ts";
import { type Deliver, TopicFanout } from "./topic-fanout.ts";
import { HUB_TOPIC, parseNodeTopic } from "./topics.ts";

type AedesClient = ReturnType<Aedes["handle"]>;
type ForwardedPacket = Parameters<NonNullable<AedesOptions["authorizeForward"]>>[1];

/** Below this much in its socket a client is forwarded to without looking at the others. */
const FORWARD_FREELY_BYTES = 64 * 1024;

/**
 * aedes has other brokers of a cluster in mind: it looks at the wall clock every four intervals for brokers that
 * are silent since three, and publishes the wills of their clients. A clock step (a box without an RTC meets NTP)
 * would make it publish those of our living clients. The longest that fits `setInterval` keeps it from that.
 */
const AEDES_HEARTBEAT_MS = 2 ** 29 - 1;

/**
 * This node's own hub: aedes on a TCP server. The node itself uses it in process, without a socket.
 *
 * Whatever a client does costs bounded memory: see `BusLimits` and broker-access.ts. A client that does not read
 * loses datagrams first, then its connection.
 */
export class EmbeddedBroker implements Route {
  readonly path = OWN_BROKER_PATH;
  readonly #limits: BusLimits;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #aedes: Aedes;
  readonly #server: Server;
  readonly #fanout: TopicFanout;
  readonly #sockets = new Set<Socket>();
  /** The client that subscribed to an inbox, by topic. */
  readonly #inboxClients = new Map<string, AedesClient>();
  readonly #retained = new Set<string>();
  /** Bytes that aedes will write to a client's socket at the end of this turn of the event loop. */
  readonly #promisedBytes = new Map<AedesClient, number>();
  #droppedSlow = 0;
  #url = "";

  /** Starts listening. Rejects with `port-in-use` or `listen-failed`, naming host and port. */
  static async open(options: {
    readonly nodeId: string;
    readonly listen: { readonly host: string; readonly port: number };
    readonly limits: BusLimits;
    readonly clock: Clock;
    readonly logger: Logger;
  }): Promise<EmbeddedBroker> {
    const broker = new EmbeddedBroker(options);
    await broker.#aedes.listen();
    try {
      await broker.#listen(options.listen);
    } catch (error) {
      await broker.close();
      throw error;
    }
    await broker.publishRetained(HUB_TOPIC, Buffer.from(options.nodeId));
    return broker;
  }

  private constructor(options: {
    readonly nodeId: string;
    readonly limits: BusLimits;
    readonly clock: Clock;
    readonly logger: Logger;
  }) {
    const { nodeId, limits } = options;
    this.#limits = limits;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#fanout = new TopicFanout();
    this.#aedes = new Aedes({
      id: nodeId,
      mq: this.#fanout,
      heartbeatInterval: AEDES_HEARTBEAT_MS,
      connectTimeout: limits.brokerConnectTimeoutMs,
      drainTimeout: limits.brokerDrainTimeoutMs,
      keepaliveLimit: limits.brokerKeepaliveMaxS,
      maxTopicLevels: 8,
      ...this.#accessHooks(),
    });
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 });
    this.#server.maxConnections = limits.brokerConnectionsMax;
    this.#server.on("connection", (socket) => this.#accept(socket));
    this.#trackInboxes();
  }

  /** Where it really listens, also if port 0 was asked for. */
  get url(): string {
    return this.#url;
  }

  /** Sockets that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Messages that were not forwarded because a client did not read. */
  get droppedSlow(): number {
    return this.#droppedSlow;
  }

  /** Calls `receive` in process for each message on `filter`, from now on. `payload` may be a view: copy to keep. */
  subscribe(filter: string, receive: (topic: string, payload: Buffer) => void): void {
    const deliver: Deliver = (packet, done) => {
      const { payload } = packet;
      receive(packet.topic, typeof payload === "string" ? Buffer.from(payload) : payload);
      done();
    };
    this.#fanout.on(filter, deliver);
  }

  /** True if the owner of this inbox is connected here. */
  serves(inbox: string): boolean {
    return this.#inboxClients.has(inbox);
  }

  /** Bytes waiting for the owner of this inbox. */
  backlogBytes(inbox: string): number {
    const client = this.#inboxClients.get(inbox);
    return client === undefined ? 0 : this.#waitingFor(client);
  }

  /** Sends a datagram to the owner of this inbox. False if it is not connected here or does not read. */
  send(inbox: string, payload: Buffer): boolean {
    const client = this.#inboxClients.get(inbox);
    if (client === undefined || !this.#hasRoom(client)) return false;
    client.publish(
      { cmd: "publish", topic: inbox, payload, qos: 0, retain: false, dup: false },
      this.#ignoreLost,
    );
    return true;
  }

  /** Publishes for everybody connected and whoever comes later. */
  publishRetained(topic: string, payload: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#aedes.publish({ cmd: "publish", topic, payload, qos: 1, retain: true, dup: false }, (error) => {
        if (error === undefined || error === null) resolve();
        else reject(error);
      });
    });
  }

  /** Ends every connection and stops listening. */
  async close(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
    });
    await new Promise<void>((resolve) => this.#aedes.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await stopped;
  }

  readonly #ignoreLost = (error?: Error | null): void => {
    if (error) this.#logger.log("debug", "A client of the broker left before its message.", { error });
  };

  #listen(listen: { readonly host: string; readonly port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(listenError(error, listen)));
      this.#server.listen(listen.port, listen.host, () => {
        this.#server.removeAllListeners("error");
        this.#server.on("error", (error) =>
          this.#logger.log("error", "The MQTT broker cannot accept connections.", { error }),
        );
        const address = this.#server.address();
        const port = typeof address === "object" && address !== null ? address.port : listen.port;
        this.#url = `mqtt://${listen.host.includes(":") ? `[${listen.host}]` : listen.host}:${port}`;
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    const guard = new FrameGuard(this.#limits.packetBytesMax);
    this.#aedes.handle(socket);
    // After aedes' own "readable" listener this one sees each chunk as it is read, and does not start the flow.
    socket.on("data", (chunk: Buffer) => {
      if (!guard.accepts(chunk)) socket.destroy(new Error("MQTT packet above the limit"));
    });
  }

  #accessHooks(): AedesOptions {
    return {
      preConnect: (_client, connect, done) => {
        const refusal = refuseConnect({ clean: connect.clean === true, clientId: connect.clientId });
        done(refusal, refusal === null);
      },
      authorizePublish: (client, packet, done) => {
        const { topic, qos, retain, payload } = packet;
        const attempt = { topic, qos, retain, payloadBytes: payload.length };
        const refusal = refusePublish(client?.id ?? "", attempt, this.#retained, this.#limits);
        if (refusal === null && retain) this.#noteRetained(topic, payload.length);
        done(refusal);
      },
      authorizeSubscribe: (client, subscription, done) => {
        // By filter; not in the types of aedes.
        const known = Object.keys(Reflect.get(client, "subscriptions") ?? {}).length;
        const allowed =
          known < this.#limits.brokerSubscriptionsMax && maySubscribe(client.id, subscription.topic);
        done(null, allowed ? subscription : null);
      },
      authorizeForward: (client, packet) => (this.#mayForward(client, packet) ? packet : null),
    };
  }

  #noteRetained(topic: string, payloadBytes: number): void {
    if (payloadBytes === 0) this.#retained.delete(topic);
    else this.#retained.add(topic);
  }

  /** Presence may not be left out for a slow client: it is cut off and gets all of it when it comes back. */
  #mayForward(client: AedesClient, packet: ForwardedPacket): boolean {
    if (!this.#hasRoom(client)) {
      this.#droppedSlow += 1;
      if (packet.qos > 0) client.conn.destroy(new Error("client does not read its messages"));
      return false;
    }
    // aedes writes after this turn, in which a busy socket alone can bring 2 MiB: count what it is going to write.
    if (this.#promisedBytes.size === 0) this.#clock.defer(this.#forgetPromised);
    this.#promisedBytes.set(client, (this.#promisedBytes.get(client) ?? 0) + packet.payload.length);
    return true;
  }

  readonly #forgetPromised = (): void => this.#promisedBytes.clear();

  #hasRoom(client: AedesClient): boolean {
    const waiting = this.#waitingFor(client);
    if (waiting < FORWARD_FREELY_BYTES) return true;
    if (waiting >= this.#limits.brokerClientQueueBytesMax) return false;
    let sum = 0;
    for (const socket of this.#sockets) sum += socket.writableLength;
    return sum < this.#limits.brokerQueueBytesMax;
  }

  #waitingFor(client: AedesClient): number {
    return client.conn.writableLength + (this.#promisedBytes.get(client) ?? 0);
  }

  #trackInboxes(): void {
    this.#aedes.on("subscribe", (subscriptions, client) => {
      for (const { topic, qos } of subscriptions) {
        if (qos < 128 && parseNodeTopic(topic)?.kind === "inbox") this.#inboxClients.set(topic, client);
      }
    });
    this.#aedes.on("unsubscribe", (topics, client) => this.#forgetInboxes(topics, client));
    this.#aedes.on("clientDisconnect", (client) =>
      this.#forgetInboxes([...this.#inboxClients.keys()], client),
    );
    this.#aedes.on("clientError", (client, error) => this.#logLost(client, error));
    this.#aedes.on("connectionError", (client, error) => this.#logLost(client, error));
  }

  #forgetInboxes(topics: readonly string[], client: AedesClient): void {
    for (const topic of topics) {
      if (this.#inboxClients.get(topic) === client) this.#inboxClients.delete(topic);
    }
  }

  #logLost(client: AedesClient, error: Error): void {
    const fields = { client: client.id ?? "", reason: messageOf(error) };
    this.#logger.log("debug", "A client of the MQTT broker was cut off.", fields);
  }
}

function listenError(error: Error, listen: { readonly host: string; readonly port: number }): TrivetError {
  const where = `${listen.host}:${listen.port}`;
  if ("code" in error && error.code === "EADDRINUSE") {
    return new TrivetError(
      "port-in-use",
      `The MQTT broker cannot listen on ${where}: another program does. Stop it (ss -ltnp shows which), or choose another address with --mqtt HOST:PORT.`,
      { cause: error },
    );
  }
  return new TrivetError(
    "listen-failed",
    `The MQTT broker cannot listen on ${where}: ${error.message}. Choose an address of this machine with --mqtt HOST:PORT.`,
    { cause: error },
  );
}
