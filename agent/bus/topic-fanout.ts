/** What is delivered: the fields of an aedes packet that we read. */
export interface FanoutPacket {
  readonly topic: string;
  readonly payload: string | Buffer;
}

/** As aedes calls its subscribers: `done` after the packet was taken. */
export type Deliver = (packet: FanoutPacket, done: () => void) => void;

interface Subscription {
  /** What stands before the first wildcard: spares most topics the comparison level by level. */
  readonly prefix: string;
  readonly delivers: Set<Deliver>;
}

/**
 * Delivers packets to the subscribers of their topic; takes the place of `mqemitter` in aedes (its interface:
 * `on`, `removeListener`, `emit`, `close`).
 *
 * mqemitter ends an `emit` when the slowest subscriber took the packet, and aedes reads no further from a
 * publisher until then: one peer with a full socket would hold up everybody. Here nobody waits for anybody; what
 * may pile up for a slow client is bounded where it is forwarded (`EmbeddedBroker`).
 */
export class TopicFanout {
  readonly #exact = new Map<string, Subscription>();
  readonly #wildcard = new Map<string, Subscription>();

  on(filter: string, deliver: Deliver, done?: () => void): this {
    const table = this.#table(filter);
    const subscription = table.get(filter);
    if (subscription !== undefined) subscription.delivers.add(deliver);
    else table.set(filter, { prefix: filter.replace(/\/?[+#].*$/, ""), delivers: new Set([deliver]) });
    done?.();
    return this;
  }

  removeListener(filter: string, deliver: Deliver, done?: () => void): this {
    const table = this.#table(filter);
    const subscription = table.get(filter);
    subscription?.delivers.delete(deliver);
    if (subscription?.delivers.size === 0) table.delete(filter);
    done?.();
    return this;
  }

  emit(packet: FanoutPacket, done?: (error?: Error | null) => void): this {
    for (const deliver of this.#exact.get(packet.topic)?.delivers ?? []) deliver(packet, ignore);
    for (const [filter, { prefix, delivers }] of this.#wildcard) {
      if (!packet.topic.startsWith(prefix) || !matchesFilter(filter, packet.topic)) continue;
      for (const deliver of delivers) deliver(packet, ignore);
    }
    done?.();
    return this;
  }

  close(done?: () => void): this {
    this.#exact.clear();
    this.#wildcard.clear();
    done?.();
    return this;
  }

  #table(filter: string): Map<string, Subscription> {
    return filter.includes("+") || filter.endsWith("#") ? this.#wildcard : this.#exact;
  }
}

function ignore(): void {
  // Nobody waits for a delivery, see above.
}

/** MQTT 3.1.1, 4.7: `+` stands for one level, a last `#` for any number, none of them included. */
export function matchesFilter(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  for (const [at, level] of wanted.entries()) {
    if (level === "#") return true;
    if (at >= levels.length) return false;
    if (level !== "+" && level !== levels[at]) return false;
  }
  return wanted.length === levels.length;
}
