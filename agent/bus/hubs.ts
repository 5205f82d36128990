import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import type { Announcer } from "./announcer.ts";
import type { BusLimits } from "./bus-limits.ts";
import type { EmbeddedBroker } from "./embedded-broker.ts";
import { HubLink, type HubLinkOwner } from "./hub-link.ts";
import type { LinkStatus } from "./link-status.ts";
import type { PeerTable } from "./peer-table.ts";
import { decodePresence, type PresenceMessage } from "./presence.ts";
import { OWN_BROKER_PATH, type Route } from "./route.ts";
import { inboxTopic, parseNodeTopic, presenceFilter, presenceTopic } from "./topics.ts";
import { wantedHubs } from "./wanted-hubs.ts";

/** The name of our own broker among the hubs of the peer table; the others go by their URL. */
const OWN_HUB = "own";
const HOUSEKEEPING_MS = 5_000;

export interface HubsOptions {
  readonly cluster: string;
  readonly nodeId: string;
  readonly session: number;
  readonly seeds: readonly string[];
  readonly limits: BusLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly broker: EmbeddedBroker | null;
  readonly announcer: Announcer;
  readonly peers: PeerTable;
  /** A hub is not connected any more. */
  readonly pathLost: (path: number) => void;
  /** Takes what arrived in our inbox on any hub. */
  readonly receive: (payload: Buffer) => void;
  /** A presence message that is none, or that the peer table has no room for. */
  readonly presenceDropped: () => void;
}

/**
 * All hubs of this node: its own broker and a link to each other one. Decides which links there are, and finds
 * the ways to a node: its own broker (one hop), our broker if it is connected there (one hop too), and any other hub
 * where it is present.
 */
export class Hubs implements HubLinkOwner {
  readonly #options: HubsOptions;
  readonly #links = new Map<string, HubLink>();
  /** Links that are up and lead to the broker of the node named. */
  readonly #direct = new Map<string, HubLink>();
  #nextPath = OWN_BROKER_PATH + 1;
  #housekeeping: Timer | null = null;
  #closed = false;

  constructor(options: HubsOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, cluster, nodeId, receive } = this.#options;
    broker?.subscribe(inboxTopic(cluster, nodeId), (_topic, payload) => receive(payload));
    broker?.subscribe(presenceFilter(cluster), (topic, payload) => this.#observe(OWN_HUB, topic, payload));
    this.#keepHouse();
  }

  get announced(): boolean {
    return this.#options.announcer.announced;
  }

  /** The ways to a node that are connected now, the shortest first. */
  *routesTo(nodeId: string): Generator<Route> {
    const direct = this.#direct.get(nodeId);
    if (direct !== undefined) yield direct;
    const { broker, cluster, peers } = this.#options;
    if (broker?.serves(inboxTopic(cluster, nodeId)) === true) yield broker;
    for (const link of this.#links.values()) {
      if (link !== direct && link.up && peers.isPresent(nodeId, link.url)) yield link;
    }
  }

  status(): readonly LinkStatus[] {
    return [...this.#links.values()].map(({ url, nodeId, up, reason }) => ({ url, nodeId, up, reason }));
  }

  /** Puts our presence, as it is now, on every hub. */
  publishPresence(): void {
    for (const link of this.#links.values()) link.publishPresence("up");
    this.#publishOwn("up");
  }

  /** Makes the links that are wanted now and ends the others. Call it when peers change. */
  refresh(): void {
    if (this.#closed) return;
    const { seeds, limits, clock, broker, peers } = this.#options;
    const triedSinceMs = clock.nowMs() - limits.deadBrokerRetryMs;
    const wanted = wantedHubs({
      seeds,
      ownUrl: broker?.url ?? null,
      peers,
      triedSinceMs,
      max: limits.linksMax,
    });
    for (const [url, link] of this.#links) {
      if (wanted.has(url)) continue;
      this.#links.delete(url);
      void link.close(false);
      this.linkDown(link, false);
    }
    for (const url of wanted) {
      if (this.#links.has(url)) continue;
      const link = new HubLink({ ...this.#options, url, path: this.#nextPath++, owner: this });
      this.#links.set(url, link);
      link.start();
    }
  }

  /** Tries the links to this node's broker at once: it was just seen to be there. */
  hurryTo(brokerUrl: string | null): void {
    if (brokerUrl !== null) this.#links.get(brokerUrl)?.start();
  }

  /** Says goodbye on every hub and ends the links. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#housekeeping?.cancel();
    this.#publishOwn("down");
    await Promise.all([...this.#links.values()].map((link) => link.close(true)));
    this.#direct.clear();
  }

  presence(state: "up" | "down", localAddress: string | null): Buffer {
    return this.#options.announcer.message(state, localAddress);
  }

  linkUp(link: HubLink): void {
    this.#options.logger.log("info", "Linked to a hub.", { url: link.url });
    this.linkOwner(link);
  }

  linkOwner(link: HubLink): void {
    const { nodeId, limits } = this.#options;
    if (link.nodeId === null) return;
    const first = this.#direct.get(link.nodeId);
    if (link.nodeId === nodeId) {
      link.park("it is this node's own broker", limits.redundantRetryMs);
    } else if (first !== undefined && first !== link) {
      link.park(`it is the same broker as ${first.url}`, limits.redundantRetryMs);
    } else if (link.up) {
      this.#direct.set(link.nodeId, link);
    }
  }

  linkDown(link: HubLink, wasUp: boolean): void {
    const { logger, peers, clock, pathLost } = this.#options;
    const owner = link.nodeId;
    const wasDirect = owner !== null && this.#direct.get(owner) === link;
    if (wasDirect) this.#direct.delete(owner);
    if (wasUp && !link.parked) {
      logger.log("info", "Lost the link to a hub.", { url: link.url, reason: link.reason });
    }
    pathLost(link.path);
    peers.forgetHub(link.url, wasDirect && wasUp ? owner : null, clock.nowMs());
    if (!wasDirect) return;
    for (const other of this.#links.values()) if (other.nodeId === owner) other.unpark();
  }

  linkPresence(link: HubLink, topic: string, payload: Buffer): void {
    this.#observe(link.url, topic, payload);
  }

  linkDatagram(payload: Buffer): void {
    this.#options.receive(payload);
  }

  #observe(hub: string, topic: string, payload: Buffer): void {
    const { peers, clock, nodeId, presenceDropped, limits } = this.#options;
    const subject = parseNodeTopic(topic);
    if (subject !== null && payload.length === 0) {
      peers.forgetStatement(hub, subject.nodeId, clock.nowMs());
      return;
    }
    const message = payload.length > limits.presenceBytesMax ? null : decodePresence(payload);
    if (message === null || message.nodeId !== subject?.nodeId) presenceDropped();
    else if (message.nodeId === nodeId) this.#observeSelf(message);
    else if (!peers.observe(hub, message, clock.nowMs())) presenceDropped();
  }

  /** A will of a connection that we have replaced must not stand as the last word about us. */
  #observeSelf(message: PresenceMessage): void {
    const { session, announcer, logger, nodeId } = this.#options;
    if (this.#closed) return;
    if (message.session > session) {
      logger.log(
        "error",
        "Another agent uses this node's identity, or its clock went back. Stop one of them.",
        {
          nodeId,
          session,
          otherSession: message.session,
        },
      );
    } else if (message.session < session || !message.up) {
      announcer.repeat();
    }
  }

  #publishOwn(state: "up" | "down"): void {
    const { broker, cluster, nodeId, logger } = this.#options;
    if (broker === null || !this.announced) return;
    broker
      .publishRetained(presenceTopic(cluster, nodeId), this.presence(state, null))
      .catch((error: unknown) => {
        logger.log("warn", "Our broker did not take our own presence.", { error });
      });
  }

  #keepHouse(): void {
    const { clock, peers, limits } = this.#options;
    peers.forgetPeers(clock.nowMs() - limits.forgetPeerMs);
    this.refresh();
    this.#housekeeping = clock.setTimer(HOUSEKEEPING_MS, () => this.#keepHouse());
  }
}
