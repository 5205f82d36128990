import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";
import { MqttClient } from "mqtt";
import type { Clock, Timer } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { Backoff } from "./backoff.ts";
import type { BusLimits } from "./bus-limits.ts";
import { FrameGuard } from "./frame-guard.ts";
import { type HubAddress, parseHubUrl } from "./hub-address.ts";
import type { Route } from "./route.ts";
import { HUB_TOPIC, inboxTopic, isNodeId, presenceFilter, presenceTopic } from "./topics.ts";

/** What a link asks of its owner and tells it. */
export interface HubLinkOwner {
  /** Our presence as this hub shall hold it. */
  presence(state: "up" | "down", localAddress: string | null): Buffer;
  /** False until there is something to announce. */
  readonly announced: boolean;
  /** Connected and subscribed. */
  linkUp(link: HubLink): void;
  /** A connection ended, or (`wasUp` false) an attempt failed; called at once when the socket closes. */
  linkDown(link: HubLink, wasUp: boolean): void;
  /** The hub said whose broker it is. */
  linkOwner(link: HubLink): void;
  linkPresence(link: HubLink, topic: string, payload: Buffer): void;
  linkDatagram(payload: Buffer): void;
}

export interface HubLinkOptions {
  readonly url: string;
  /** Its number among the paths of this node. */
  readonly path: number;
  readonly cluster: string;
  readonly nodeId: string;
  readonly limits: BusLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly owner: HubLinkOwner;
}

/**
 * A connection to one hub, made again whenever it ends. Each attempt has its own `MqttClient`: nothing that one
 * connection queued is ever sent on the next.
 *
 *     waiting -> connecting -> up -> waiting -> ...      parked: a hub that another link serves, tried again late
 */
export class HubLink implements Route {
  readonly url: string;
  readonly path: number;
  readonly #options: HubLinkOptions;
  readonly #address: HubAddress | null;
  readonly #inbox: string;
  readonly #backoff: Backoff;
  #state: "waiting" | "connecting" | "up" | "parked" | "closed" = "waiting";
  #client: MqttClient | null = null;
  #socket: Socket | null = null;
  #timer: Timer | null = null;
  #reason = "not tried yet";
  #nodeId: string | null = null;
  #upSinceMs = 0;
  #unacked = 0;

  constructor(options: HubLinkOptions) {
    const { url, path, cluster, nodeId, limits, random } = options;
    this.url = url;
    this.path = path;
    this.#options = options;
    this.#address = parseHubUrl(url);
    this.#inbox = inboxTopic(cluster, nodeId);
    this.#backoff = new Backoff(limits.reconnectMinMs, limits.reconnectMaxMs, random);
    if (this.#address === null) this.#reason = "not an mqtt:// URL with a host that can be connected to";
  }

  get up(): boolean {
    return this.#state === "up";
  }

  /** Why it is not up; empty if it is. */
  get reason(): string {
    return this.up ? "" : this.#reason;
  }

  /** Whose embedded broker this is, as it said last, which may be before it went down; null for a site broker. */
  get nodeId(): string | null {
    return this.#nodeId;
  }

  /** Bytes waiting in the socket. */
  backlogBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  /** Connects now, unless it is connected or parked. */
  start(): void {
    if (this.#state !== "waiting" || this.#address === null) return;
    this.#backoff.reset();
    this.#connect(this.#address);
  }

  /** Sends a datagram. False if the link is not up or its socket is full; it is dropped then. */
  send(topic: string, payload: Buffer): boolean {
    if (this.#client === null || this.#state !== "up") return false;
    if (this.backlogBytes() > this.#options.limits.linkQueueBytesMax) return false;
    this.#client.publish(topic, payload);
    return true;
  }

  /** Puts our presence on the hub, if the link is up. */
  publishPresence(state: "up" | "down"): void {
    const client = this.#client;
    if (client === null || this.#state !== "up") return;
    const { cluster, nodeId, owner, limits } = this.#options;
    if (this.#unacked >= limits.presenceUnackedMax) {
      this.#noteReason(client, "the hub does not acknowledge what we publish");
      void this.#end(false);
      return;
    }
    this.#unacked += 1;
    const payload = owner.presence(state, this.#socket?.localAddress ?? null);
    client.publish(presenceTopic(cluster, nodeId), payload, { qos: 1, retain: true }, () => {
      if (this.#client === client) this.#unacked -= 1;
    });
  }

  /** Ends the connection, without a will, and stays away for `retryAfterMs`. */
  park(reason: string, retryAfterMs: number): void {
    if (this.#state === "closed" || this.#state === "parked") return;
    const wasUp = this.up;
    this.#state = "parked";
    this.#reason = reason;
    this.#schedule(retryAfterMs);
    void this.#end(true);
    this.#options.owner.linkDown(this, wasUp);
  }

  /** Ends a parked state early. */
  unpark(): void {
    if (this.#state !== "parked") return;
    this.#timer?.cancel();
    this.#state = "waiting";
    this.start();
  }

  get parked(): boolean {
    return this.#state === "parked";
  }

  /** Says goodbye if `farewell`, and ends for good. Resolves when the socket is closed, within the time given. */
  async close(farewell: boolean): Promise<void> {
    if (farewell) this.publishPresence("down");
    this.#timer?.cancel();
    this.#state = "closed";
    this.#reason = "closed";
    await this.#end(farewell);
  }

  /** Ends the connection: with DISCONNECT after what is unacknowledged, or at once, which lets the will speak. */
  async #end(orderly: boolean): Promise<void> {
    const client = this.#client;
    const socket = this.#socket;
    if (client === null || socket === null || socket.destroyed) return;
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    const { clock, limits } = this.#options;
    const deadline = clock.setTimer(limits.closeTimeoutMs, () => socket.destroy());
    client.end(!orderly || !client.connected);
    await closed;
    deadline.cancel();
  }

  #connect(address: HubAddress): void {
    this.#timer?.cancel();
    this.#state = "connecting";
    const { cluster, nodeId, limits, owner } = this.#options;
    const socket = connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 });
    const guard = new FrameGuard(limits.packetBytesMax);
    socket.on("data", (chunk: Buffer) => {
      if (!guard.accepts(chunk)) socket.destroy(new Error("the hub sent a packet above the limit"));
    });
    const client = new MqttClient(() => socket, {
      protocolVersion: 4,
      clean: true,
      clientId: clientIdOf(nodeId, this.url),
      keepalive: limits.keepaliveS,
      reconnectPeriod: 0,
      connectTimeout: limits.connectTimeoutMs,
      queueQoSZero: false,
      resubscribe: false,
      timerVariant: "native",
      will: {
        topic: presenceTopic(cluster, nodeId),
        payload: owner.presence("down", null),
        qos: 1,
        retain: true,
      },
    });
    this.#socket = socket;
    this.#client = client;
    this.#unacked = 0;
    client.on("connect", () => this.#subscribe(client));
    client.on("message", (topic, payload) => this.#receive(client, topic, payload));
    client.on("error", (error) => this.#noteReason(client, error.message || String(error)));
    client.on("close", () => this.#ended(client));
  }

  #subscribe(client: MqttClient): void {
    if (this.#client !== client || this.#state !== "connecting") return;
    this.#nodeId = null;
    const presence = presenceFilter(this.#options.cluster);
    const filters = { [HUB_TOPIC]: { qos: 1 }, [presence]: { qos: 1 }, [this.#inbox]: { qos: 0 } } as const;
    client.subscribe(filters, (error, granted) => {
      if (this.#client !== client || this.#state !== "connecting") return;
      const refused = granted?.find((grant) => grant.qos > 2);
      if (error !== null || refused !== undefined) {
        this.#noteReason(client, error?.message ?? `the hub refuses us the topic ${refused?.topic}`);
        void this.#end(false);
        return;
      }
      this.#state = "up";
      this.#reason = "";
      this.#upSinceMs = this.#options.clock.nowMs();
      if (this.#options.owner.announced) this.publishPresence("up");
      this.#options.owner.linkUp(this);
    });
  }

  #receive(client: MqttClient, topic: string, payload: Buffer): void {
    if (this.#client !== client || this.#state === "closed" || this.#state === "parked") return;
    const { owner } = this.#options;
    if (topic === this.#inbox) {
      owner.linkDatagram(payload);
    } else if (topic === HUB_TOPIC) {
      const text = payload.toString("latin1");
      this.#nodeId = isNodeId(text) ? text : null;
      owner.linkOwner(this);
    } else {
      owner.linkPresence(this, topic, payload);
    }
  }

  #noteReason(client: MqttClient, reason: string): void {
    if (this.#client !== client) return;
    // What `mqtt` complains of after we ended the connection explains nothing.
    if (this.#state === "connecting" || this.#state === "up") this.#reason = reason;
  }

  #ended(client: MqttClient): void {
    if (this.#client !== client) return;
    const wasUp = this.up;
    this.#client = null;
    this.#socket = null;
    if (this.#state === "closed" || this.#state === "parked") return;
    this.#state = "waiting";
    if (this.#reason === "") this.#reason = "the hub closed the connection";
    const livedMs = this.#options.clock.nowMs() - this.#upSinceMs;
    // A hub that takes us and throws us out at once must not be asked ten times a second.
    if (wasUp && livedMs > this.#options.limits.reconnectMaxMs) this.#backoff.reset();
    this.#schedule(this.#backoff.nextMs());
    this.#options.owner.linkDown(this, wasUp);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      if (this.#state === "parked") this.#state = "waiting";
      if (this.#state === "waiting" && this.#address !== null) this.#connect(this.#address);
    });
  }
}

/** Per hub URL, so that a second connection of ours to one broker takes over the first only if it is its successor. */
function clientIdOf(nodeId: string, url: string): string {
  return `${nodeId}-${createHash("sha256").update(url).digest("hex").slice(0, 8)}`;
}
