import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Chance, chanceFrom } from "../raft/chance.ts";
import { MqttPackets, publishedTopic } from "./mqtt-packets.ts";

/** How likely each thing is to happen to a datagram, each time it passes; from 0 to 1. */
export interface Mischief {
  readonly loss: number;
  /** A second copy comes with a delay of its own, up to `doubledMsMax`. */
  readonly doubling: number;
  readonly delay: number;
}

const NONE: Mischief = { loss: 0, doubling: 0, delay: 0 };

/** Delays are drawn from a Pareto distribution: half of them are under 4 ms, one in a hundred is over 200. */
const DELAY_MS_MIN = 2;
const DELAY_TAIL = 1;
const DELAY_MS_MAX = 3_000;
/** Long enough for a copy to come in another term. */
const DOUBLED_MS_MAX = 8_000;

/**
 * Stands between agents and a broker and treats what is published to an inbox as a datagram network would: it is lost, doubled,
 * delayed, and so overtaken by what was sent later. Everything else (connecting, subscribing, pings, presence) passes as it
 * came: MQTT promises its order. A datagram passes twice, to the broker and from it.
 *
 * What happens is drawn from a seed, for each connection and direction by itself; when it happens is up to the machine.
 */
export class MqttProxy {
  readonly counts = { passed: 0, lost: 0, doubled: 0, delayed: 0, overtaken: 0 };
  readonly #server: Server;
  readonly #brokerPort: number;
  readonly #seed: number;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #connections = 0;
  #mischief = NONE;

  static async open(options: { readonly brokerPort: number; readonly seed: number }): Promise<MqttProxy> {
    const proxy = new MqttProxy(options.brokerPort, options.seed);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  private constructor(brokerPort: number, seed: number) {
    this.#brokerPort = brokerPort;
    this.#seed = seed;
    this.#server = createServer({ noDelay: true }, (agent) => this.#accept(agent));
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The proxy does not listen");
    return `mqtt://127.0.0.1:${address.port}`;
  }

  setMischief(mischief: Mischief): void {
    this.#mischief = mischief;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(agent: Socket): void {
    const broker = connect({ host: "127.0.0.1", port: this.#brokerPort, noDelay: true });
    const seed = this.#seed * 1_000 + 2 * this.#connections++;
    this.#pipe(agent, broker, chanceFrom(seed));
    this.#pipe(broker, agent, chanceFrom(seed + 1));
  }

  #pipe(from: Socket, to: Socket, chance: Chance): void {
    const packets = new MqttPackets();
    const way = new Way(to);
    this.#sockets.add(from);
    from.on("data", (chunk: Buffer) => {
      for (const packet of packets.push(chunk)) {
        if (publishedTopic(packet)?.includes("/inbox/") === true) this.#passDatagram(packet, way, chance);
        else to.write(packet);
      }
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }

  #passDatagram(packet: Buffer, way: Way, chance: Chance): void {
    const { loss, doubling, delay } = this.#mischief;
    if (chance.float() < loss) {
      this.counts.lost++;
      return;
    }
    const isDelayed = chance.float() < delay;
    if (isDelayed) this.counts.delayed++;
    this.#deliver(packet, way, isDelayed ? drawDelayMs(chance) : 0);
    if (chance.float() >= doubling) return;
    this.counts.doubled++;
    this.#deliver(packet, way, chance.float() < 0.5 ? 0 : chance.float() * DOUBLED_MS_MAX);
  }

  #deliver(packet: Buffer, way: Way, delayMs: number): void {
    const number = way.nextNumber++;
    const arrive = (): void => {
      this.counts.passed++;
      if (number < way.newest) this.counts.overtaken++;
      way.newest = Math.max(way.newest, number);
      if (way.to.writable) way.to.write(packet);
    };
    if (delayMs === 0) {
      arrive();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      arrive();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** One direction of one connection. */
class Way {
  readonly to: Socket;
  nextNumber = 0;
  /** The highest number that has arrived. */
  newest = -1;

  constructor(to: Socket) {
    this.to = to;
  }
}

function drawDelayMs(chance: Chance): number {
  return Math.min(DELAY_MS_MAX, DELAY_MS_MIN / (1 - chance.float()) ** (1 / DELAY_TAIL));
}
