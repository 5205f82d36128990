import type { FaultMix } from "./fault-mix.ts";
import type { SimRandom } from "./sim-random.ts";
import type { World } from "./world.ts";

const LATE_MS_MAX = 180_000;

/** Takes what arrives at a node. The network asks for it anew each time: a node may have been started again. */
export type Receiver = (from: number, packet: Packet) => void;

export type Packet =
  | { readonly kind: "datagram"; readonly name: string; readonly body: Uint8Array }
  | {
      readonly kind: "request";
      readonly id: string;
      readonly method: string;
      readonly body: Uint8Array;
    }
  | { readonly kind: "reply"; readonly id: string; readonly body: Uint8Array }
  | { readonly kind: "refusal"; readonly id: string; readonly code: string; readonly message: string };

/** Carries packets between nodes, badly. Every direction of every link is cut by itself. */
export class SimNetwork {
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #receivers = new Map<number, Receiver>();
  readonly #cuts = new Set<number>();
  #mix: FaultMix["network"];
  /** How much longer than usual each direction takes, in milliseconds: asymmetric routes. */
  readonly #detours = new Map<number, number>();

  constructor(world: World, random: SimRandom, mix: FaultMix["network"]) {
    this.#world = world;
    this.#random = random;
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
    this.#mix = { ...this.#mix, lossRate: 0, duplicateRate: 0, tailRate: 0 };
  }

  detour(from: number, to: number, ms: number): void {
    this.#detours.set(linkOf(from, to), ms);
  }

  /** The bus drops doubled requests and replies (`ReplayWindow`), so only datagrams are doubled here. */
  send(from: number, to: number, packet: Packet): void {
    const { lossRate, duplicateRate, lateRate } = this.#mix;
    if (this.isCut(from, to) || this.#random.isTrue(lossRate)) return;
    this.#deliver(from, to, packet, this.#delayMs(from, to));
    if (packet.kind !== "datagram" || duplicateRate === 0) return;
    while (this.#random.isTrue(duplicateRate)) {
      const isLate = this.#random.isTrue(lateRate);
      const lateMs = isLate ? this.#random.magnitude(1_000, LATE_MS_MAX) : 0;
      this.#deliver(from, to, packet, this.#delayMs(from, to) + lateMs);
    }
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
