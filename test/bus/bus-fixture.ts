import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type IClientOptions, MqttClient } from "mqtt";
import { Bus, type BusOptions } from "../../agent/bus/bus.ts";
import type { EnvelopeCodec, Fragment } from "../../agent/bus/envelope.ts";
import type { PeerEvent } from "../../agent/bus/peer-table.ts";
import type { PresenceBody } from "../../agent/bus/presence.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import type { Logger } from "../../agent/platform/logger.ts";
import { systemRandom } from "../../agent/platform/random.ts";

export const CLUSTER = "test";
export const quietLogger: Logger = { log: () => undefined };

/** A node id that is easy to tell apart: one hexadecimal digit, 32 times. */
export function nodeIdOf(digit: string): string {
  return digit.repeat(32);
}

export function presenceOf(name: string, broker: string | null, commit = 0): PresenceBody {
  return {
    name,
    version: "0.0.0",
    memberId: `member-${name}`,
    clusterId: null,
    api: null,
    broker,
    role: "voter",
    raft: { term: 1, commit, leader: null },
  };
}

/** A datagram on the first path of a sender that heard nothing. */
export function encodePlain(
  codec: EnvelopeCodec,
  to: string,
  seq: number,
  kind: string,
  body: Uint8Array,
  fragment: Fragment | null,
): Buffer {
  return codec.encode({ to, seq, path: 0, heard: [], kind, body, fragment });
}

/** A bus on loopback that has announced itself. */
export async function openBus(digit: string, options: Partial<BusOptions> = {}): Promise<Bus> {
  const bus = await Bus.open({
    cluster: CLUSTER,
    nodeId: nodeIdOf(digit),
    session: 1,
    listen: { host: "127.0.0.1", port: 0 },
    seeds: [],
    clock: systemClock,
    random: systemRandom,
    logger: quietLogger,
    ...options,
  });
  bus.announce(presenceOf(digit, bus.brokerUrl));
  return bus;
}

/** The broker's URL of a bus that has one. */
export function urlOf(bus: Bus): string {
  if (bus.brokerUrl === null) throw new Error("the bus has no broker");
  return bus.brokerUrl;
}

/** Resolves with the first peer event that `wanted` accepts; rejects after ten seconds. */
export function nextPeerEvent(bus: Bus, wanted: (event: PeerEvent) => boolean): Promise<PeerEvent> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error("no such peer event within 10 s")), 10_000);
    const stop = bus.onPeer((event) => {
      if (!wanted(event)) return;
      stop();
      clearTimeout(deadline);
      resolve(event);
    });
  });
}

/** Resolves when `condition` holds, for what has no event; rejects after ten seconds. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 10 s: ${what}`);
    await delay(2);
  }
}

/** Resolves when every bus has an up link to every other's broker and knows its node to be up. */
export async function meshed(...buses: readonly Bus[]): Promise<void> {
  for (const bus of buses) {
    await eventually("all linked to all", () => {
      const linked = bus.links().filter((link) => link.up && link.nodeId !== null).length;
      const up = [...bus.peers().values()].filter((peer) => peer.up).length;
      return linked >= buses.length - 1 && up >= buses.length - 1;
    });
  }
}

export interface RawClient {
  readonly client: MqttClient;
  readonly socket: Socket;
  /** Resolves when the connection ends. */
  readonly ended: Promise<void>;
}

/** A plain MQTT client of our own, for what a Bus would never send. */
export async function rawClient(url: string, options: IClientOptions = {}): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const client = new MqttClient(() => socket, {
    protocolVersion: 4,
    clean: true,
    reconnectPeriod: 0,
    timerVariant: "native",
    ...options,
  });
  client.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => client.once("close", () => resolve()));
  const connected = new Promise<void>((resolve) => client.once("connect", () => resolve()));
  await Promise.race([connected, ended]);
  return { client, socket, ended };
}

/** A TCP relay in front of a broker, so that a test can cut the cable, or stop what is sent on it in one direction. */
export class Cable {
  readonly #server: Server;
  readonly #ways: Record<Direction, Set<readonly [from: Socket, to: Socket]>> = {
    toBroker: new Set(),
    fromBroker: new Set(),
  };
  readonly #stopped = new Set<Direction>();
  #target: string;

  static async to(target: string): Promise<Cable> {
    const cable = new Cable(target);
    cable.#server.listen(0, "127.0.0.1");
    await once(cable.#server, "listening");
    return cable;
  }

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer({ noDelay: true }, (near) => {
      const { hostname, port } = new URL(this.#target);
      const far = connect({ host: hostname, port: Number(port), noDelay: true });
      this.#join("toBroker", near, far);
      this.#join("fromBroker", far, near);
    });
  }

  #join(direction: Direction, from: Socket, to: Socket): void {
    const way = [from, to] as const;
    this.#ways[direction].add(way);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#ways[direction].delete(way);
      to.destroy();
    });
    if (!this.#stopped.has(direction)) from.pipe(to);
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the cable is not plugged in");
    return `mqtt://127.0.0.1:${address.port}`;
  }

  /** Carries nothing in this direction any more; every connection stays open. */
  stop(direction: Direction): void {
    this.#stopped.add(direction);
    for (const [from, to] of this.#ways[direction]) from.unpipe(to).pause();
  }

  /** Carries on, with what was held back. */
  resume(direction: Direction): void {
    this.#stopped.delete(direction);
    for (const [from, to] of this.#ways[direction]) from.pipe(to);
  }

  /** Ends every connection through it and takes no more. */
  cut(): void {
    this.#server.close();
    for (const [from] of [...this.#ways.toBroker, ...this.#ways.fromBroker]) from.destroy();
  }
}

type Direction = "toBroker" | "fromBroker";

/** A node in a process of its own: `bus-child.ts`. */
export class ChildNode {
  readonly process: ChildProcess;
  readonly brokerUrl: string;

  static async start(digit: string, session: number, seeds: readonly string[]): Promise<ChildNode> {
    const script = join(import.meta.dirname, "bus-child.js");
    const child = spawn(process.execPath, [script, digit, String(session), ...seeds], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: child.stdout });
    const [line] = await once(lines, "line");
    return new ChildNode(child, String(line));
  }

  private constructor(child: ChildProcess, brokerUrl: string) {
    this.process = child;
    this.brokerUrl = brokerUrl;
  }

  /** kill -9; resolves with the time of the signal. */
  async kill(): Promise<number> {
    const exited = once(this.process, "exit");
    const atMs = performance.now();
    this.process.kill("SIGKILL");
    await exited;
    return atMs;
  }
}
