import type { FaultMix } from "./fault-mix.ts";
import type { SimRandom } from "./sim-random.ts";
import type { World } from "./world.ts";

/** How much longer the slow path takes: a process ends, another starts, and is elected, in less and in more. */
const SLOW_MS_MIN = 100;
const SLOW_MS_MAX = 20_000;

const LATE_MS_MIN = 1_000;
const LATE_MS_MAX = 180_000;

/** Takes what arrives at a node. The network asks for it anew each time: a node may have been started again. */
export type Receiver = (from: number, packet: Packet) => void;

export type Message =
  | { readonly kind: "datagram"; readonly name: string; readonly body: Uint8Array }
  | {
      readonly kind: "request";
      readonly id: string;
      readonly method: string;
      /** How long the sender waits. */
      readonly timeoutMs: number;
      /** See `RequestOptions`; 0: it waits for the answer only. */
      readonly silenceMs: number;
      readonly body: Uint8Array;
    }
  | { readonly kind: "working"; readonly id: string }
  | { readonly kind: "reply"; readonly id: string; readonly body: Uint8Array }
  | { readonly kind: "refusal"; readonly id: string; readonly code: string; readonly message: string };

export interface Packet {
  /** Grows with each process of the sender. */
  readonly session: number;
  /** Unique and growing within the session. */
  readonly seq: number;
  readonly message: Message;
}

/** Carries packets between nodes, badly. Every direction of every link is cut by itself. */
export class SimNetwork {
  readonly #world: World;
  readonly #random: SimRandom;
  /** Of the slow copies. */
  readonly #copyRandom: SimRandom;
  readonly #receivers = new Map<number, Receiver>();
  readonly #cuts = new Set<number>();
  #mix: FaultMix["network"];
  /** How much longer than usual each direction takes, in milliseconds: asymmetric routes. */
  readonly #detours = new Map<number, number>();

  constructor(
    world: World,
    chance: { readonly random: SimRandom; readonly copyRandom: SimRandom },
    mix: FaultMix["network"],
  ) {
    this.#world = world;
    this.#random = chance.random;
    this.#copyRandom = chance.copyRandom;
    this.#mix = mix;
  }

  attach(node: number, receiver: Receiver | null): void {
    if (receiver === null) this.#receivers.delete(node);
    else this.#receivers.set(node, receiver);
  }

  cut(from: number, to: number): void {
    this.#cuts.add(linkOf(from, to));
  }

  heal(from: number, to: number): void {
    this.#cuts.delete(linkOf(from, to));
  }

  healAll(): void {
    this.#cuts.clear();
  }

  isCut(from: number, to: number): boolean {
    return this.#cuts.has(linkOf(from, to));
  }

  /** From now on a network as one hopes for; what is on its way still arrives as it was to. */
  becomeGood(): void {
    this.healAll();
    this.#detours.clear();
    this.#mix = { ...this.#mix, lossRate: 0, duplicateRate: 0, slowCopyRate: 0, tailRate: 0 };
  }

  detour(from: number, to: number, ms: number): void {
    this.#detours.set(linkOf(from, to), ms);
  }

  send(from: number, to: number, packet: Packet): void {
    if (this.isCut(from, to) || this.#random.isTrue(this.#mix.lossRate)) return;
    this.#deliver(from, to, packet, this.#delayMs(from, to));
    if (packet.message.kind === "datagram") this.#double(from, to, packet);
    else this.#copySlowly(from, to, packet);
  }

  #double(from: number, to: number, packet: Packet): void {
    const { duplicateRate, lateRate } = this.#mix;
    if (duplicateRate === 0) return;
    while (this.#random.isTrue(duplicateRate)) {
      const lateMs = this.#random.isTrue(lateRate) ? this.#random.magnitude(LATE_MS_MIN, LATE_MS_MAX) : 0;
      this.#deliver(from, to, packet, this.#delayMs(from, to) + lateMs);
    }
  }

  /** The process that has had the first one drops it (`ReplayGuard`), so only what comes to the next one can do harm. */
  #copySlowly(from: number, to: number, packet: Packet): void {
    const { slowCopyRate } = this.#mix;
    if (slowCopyRate === 0 || !this.#copyRandom.isTrue(slowCopyRate)) return;
    this.#deliver(from, to, packet, this.#copyRandom.magnitude(SLOW_MS_MIN, SLOW_MS_MAX));
  }

  #deliver(from: number, to: number, packet: Packet, delayMs: number): void {
    this.#world.at(delayMs, to, () => this.#receivers.get(to)?.(from, packet));
  }

  #delayMs(from: number, to: number): number {
    const { delayMs, tailRate, tailMs } = this.#mix;
    const usual = delayMs * (0.5 + this.#random.float()) + (this.#detours.get(linkOf(from, to)) ?? 0);
    if (tailRate === 0 || !this.#random.isTrue(tailRate)) return usual;
    return usual + tailMs * this.#random.float() ** 4;
  }
}

function linkOf(from: number, to: number): number {
  return from * 1024 + to;
}
