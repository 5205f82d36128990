import type { Clock } from "../platform/clock.ts";
import { invariant } from "../platform/invariant.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { Announcer } from "./announcer.ts";
import { type BusCounters, newBusCounters } from "./bus-counters.ts";
import { type BusLimits, DEFAULT_BUS_LIMITS } from "./bus-limits.ts";
import { type DatagramHandler, Datagrams } from "./datagrams.ts";
import { EmbeddedBroker } from "./embedded-broker.ts";
import { Hubs } from "./hubs.ts";
import { keepNoNumbers } from "./keep-no-numbers.ts";
import type { LinkStatus } from "./link-status.ts";
import { PathHealth } from "./path-health.ts";
import { type Peer, type PeerEvent, PeerTable } from "./peer-table.ts";
import type { PresenceBody } from "./presence.ts";
import { REPLY_KIND, REQUEST_KIND, RequestClient, type RequestOptions } from "./request-client.ts";
import { type RequestHandler, RequestServer } from "./request-server.ts";
import { isClusterName, isNodeId } from "./topics.ts";

export interface BusOptions {
  /** Name of the cluster; see `isClusterName`. */
  readonly cluster: string;
  /** 32 lower-case hexadecimal digits. */
  readonly nodeId: string;
  /** An integer that is larger at each start of this node. */
  readonly session: number;
  /** Where the embedded broker listens; port 0 takes a free one. Null runs none. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  /** `mqtt://HOST:PORT` of brokers to meet others on. */
  readonly seeds: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<BusLimits>;
}

/**
 * The agent's MQTT network (design 6): an embedded broker, links to other hubs, presence, datagrams and requests.
 *
 *     Bus -- Announcer, PeerTable      who is there
 *         -- Hubs -- EmbeddedBroker    where to meet them
 *                 -- HubLink ...
 *         -- Datagrams                 at most once, best effort, on ways that work (PathHealth)
 *             -- RequestClient, RequestServer
 */
export class Bus {
  readonly #broker: EmbeddedBroker | null;
  readonly #announcer: Announcer;
  readonly #peers: PeerTable;
  readonly #hubs: Hubs;
  readonly #health: PathHealth;
  readonly #datagrams: Datagrams;
  readonly #client: RequestClient;
  readonly #server: RequestServer;
  readonly #counters = newBusCounters();
  readonly #listeners = new Set<(event: PeerEvent) => void>();
  #closing: Promise<void> | null = null;

  /** Starts the broker and the links. Rejects with `port-in-use` or `listen-failed`. */
  static async open(options: BusOptions): Promise<Bus> {
    const { nodeId, listen, clock, logger } = options;
    invariant(isNodeId(nodeId), `node id "${nodeId}" is not 32 hexadecimal digits`);
    invariant(isClusterName(options.cluster), `cluster name "${options.cluster}" cannot be a topic level`);
    keepNoNumbers();
    const limits = { ...DEFAULT_BUS_LIMITS, ...options.limits };
    const broker =
      listen === null ? null : await EmbeddedBroker.open({ nodeId, listen, limits, clock, logger });
    const bus = new Bus(options, limits, broker);
    bus.#hubs.start();
    return bus;
  }

  private constructor(options: BusOptions, limits: BusLimits, broker: EmbeddedBroker | null) {
    const { clock, logger } = options;
    const counters = this.#counters;
    this.#broker = broker;
    this.#announcer = new Announcer(options, limits, clock, () => this.#hubs.publishPresence());
    this.#peers = new PeerTable(limits, (event) => this.#tell(event));
    this.#health = new PathHealth(limits);
    this.#hubs = new Hubs({
      ...options,
      limits,
      broker,
      announcer: this.#announcer,
      peers: this.#peers,
      pathLost: (path) => this.#health.forgetPath(path),
      receive: (payload) => this.#datagrams.receive(payload),
      presenceDropped: () => {
        counters.droppedPresence += 1;
      },
    });
    const routesTo = (to: string) => this.#hubs.routesTo(to);
    this.#datagrams = new Datagrams({ ...options, limits, counters, routesTo, health: this.#health });
    const send = (to: string, kind: string, body: Uint8Array) => this.#datagrams.send(to, kind, body);
    this.#client = new RequestClient({
      ...options,
      ...{ limits, send },
      sessionOf: (nodeId) => this.#peers.peers.get(nodeId)?.session ?? null,
    });
    this.#server = new RequestServer({ limits, clock, logger, send });
    this.#datagrams.handle(REQUEST_KIND, (from, body) => this.#countUnused(this.#server.receive(from, body)));
    this.#datagrams.handle(REPLY_KIND, (from, body, session) =>
      this.#countUnused(this.#client.receive(from, body, session)),
    );
  }

  /** URL of the embedded broker with the port it really has; null if there is none. */
  get brokerUrl(): string | null {
    return this.#broker?.url ?? null;
  }

  /** Tells the others what this node is. Call it as often as you like: changes are sent, at a bounded rate. */
  announce(presence: PresenceBody): void {
    if (this.#closing === null) this.#announcer.announce(presence);
  }

  /** Every other node that was heard of and not forgotten, by node id; a live view. */
  peers(): ReadonlyMap<string, Peer> {
    return this.#peers.peers;
  }

  /** Calls `listener` when a node appears, changes, seems to have died, is gone. Returns what ends that. */
  onPeer(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Sends a datagram: delivered once or not at all, in any order. True says only that there was a way and room.
   * `body` must not be changed any more. Throws `too-large`. A node does not send to itself: false.
   */
  send(to: string, kind: string, body: Uint8Array): boolean {
    return this.#closing === null && this.#datagrams.send(to, kind, body) === "sent";
  }

  /** `handler` gets the datagrams of `kind`, synchronously. Returns what ends that. */
  onDatagram(kind: string, handler: DatagramHandler): () => void {
    return this.#datagrams.handle(kind, handler);
  }

  /**
   * Asks another node. Rejects with a `RemoteError` if its handler did, and with a `TrivetError`: `no-route`,
   * `too-large`, `too-many-requests` (certainly not sent), `request-timeout`, `request-aborted`, `peer-down`
   * (unknown whether it was done), `bus-closed`.
   */
  request(to: string, method: string, body: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    return this.#client.request(to, method, body, options);
  }

  /** `handler` answers the requests of `method`. Returns what ends that. */
  handle(method: string, handler: RequestHandler): () => void {
    return this.#server.handle(method, handler);
  }

  /** The links to hubs, up or not. The embedded broker is not among them. */
  links(): readonly LinkStatus[] {
    return this.#hubs.status();
  }

  counters(): Readonly<BusCounters> {
    return { ...this.#counters, droppedFragments: this.#datagrams.droppedFragments };
  }

  /** Says goodbye on every hub, ends the links and the broker. What waits rejects with `bus-closed`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    this.#announcer.close();
    this.#client.close();
    this.#server.close();
    await this.#hubs.close();
    await this.#broker?.close();
    this.#datagrams.close();
  }

  #tell(event: PeerEvent): void {
    if (event.kind === "down") {
      this.#health.forgetNode(event.nodeId);
      this.#client.peerDown(event.nodeId);
    }
    if (event.kind !== "suspect") this.#hubs.refresh();
    if (event.kind === "up") this.#hubs.hurryTo(event.peer.presence?.broker ?? null);
    for (const listener of this.#listeners) listener(event);
  }

  #countUnused(used: boolean): void {
    if (!used) this.#counters.droppedUnhandled += 1;
  }
}
