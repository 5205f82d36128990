import type { DamageChaos } from "./damage-chaos.ts";
import type { FaultMix } from "./fault-mix.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { NOBODY, type World } from "./world.ts";

/** Of the parts that are cut off: the rest is told, as by a hub that they were linked to. */
const TOLD_OF_CUT_RATE = 0.5;

/** How long it takes until others are told that a node is gone. */
export const HINT_MS_MIN = 0.5;
export const HINT_MS_MAX = 100;

export interface ChaosOptions {
  readonly world: World;
  readonly random: SimRandom;
  /** Of who is told of a cut. */
  readonly hintRandom: SimRandom;
  readonly mix: FaultMix;
  readonly network: SimNetwork;
  readonly damage: DamageChaos;
  readonly nodes: readonly SimNode[];
  readonly isBad: () => boolean;
  readonly log: (text: string) => void;
}

/** What happens to the cluster from outside, at random times, until the end of the bad time. */
export class Chaos {
  readonly #options: ChaosOptions;

  constructor(options: ChaosOptions) {
    this.#options = options;
  }

  start(): void {
    const { mix, random, nodes } = this.#options;
    const { network, process, damage, clock, operator } = mix;
    this.#every(network.partitionEveryMs, () => this.#partition());
    this.#every(network.flapEveryMs, () => this.#flap());
    this.#every(network.falseHintEveryMs, () => this.#hint());
    this.#every(process.crashEveryMs, () => this.#crash());
    this.#every(process.pauseEveryMs, () => this.#pause());
    this.#every(process.wipeEveryMs, () => this.#wipe());
    this.#every(damage.flipEveryMs, () => this.#options.damage.flip(nodes));
    this.#every(process.comeBackEveryMs, () => random.pick(nodes).comeBack());
    this.#every(clock.jumpEveryMs, () => this.#jump());
    this.#every(operator.handOverEveryMs, () => this.#handOver());
    this.#every(operator.stopEveryMs, () => this.#stop());
  }

  #every(meanMs: number, act: () => void): void {
    const { world, random, isBad } = this.#options;
    if (!Number.isFinite(meanMs)) return;
    world.at(meanMs * random.between(0.2, 1.8), NOBODY, () => {
      if (!isBad()) return;
      act();
      this.#every(meanMs, act);
    });
  }

  #after(ms: number, act: () => void): void {
    const { world, isBad } = this.#options;
    world.at(ms, NOBODY, () => {
      if (isBad()) act();
    });
  }

  /** Cuts the nodes in two, both ways or one way; sometimes only some of the links between. */
  #partition(): void {
    const { random, network, nodes, log } = this.#options;
    const isOneWay = random.isTrue(0.4);
    const completeness = random.pick([1, 1, 0.6]);
    const near = nodes.filter(() => random.isTrue(0.5));
    const lasting = random.magnitude(300, 15_000);
    log(`partition of ${near.map(({ number }) => number)} from the rest${isOneWay ? ", one way" : ""}`);
    for (const { number: from } of near) {
      for (const { number: to } of nodes) {
        if (near.some(({ number }) => number === to) || !random.isTrue(completeness)) continue;
        this.#cut(from, to, lasting);
        if (!isOneWay) this.#cut(to, from, lasting);
      }
    }
    network.detour(random.below(nodes.length), random.below(nodes.length), random.magnitude(1, 400));
  }

  /** The rest hears these nodes no more, nor they the rest, which may be told that their connections have died. */
  cutOff(part: readonly SimNode[]): void {
    const { random, hintRandom, nodes, log } = this.#options;
    const areTold = hintRandom.isTrue(TOLD_OF_CUT_RATE);
    const lastingMs = random.magnitude(1_000, 10_000);
    log(`nodes ${part.map(({ number }) => number)} are cut off for ${Math.round(lastingMs)} ms`);
    for (const other of nodes) {
      if (part.includes(other)) continue;
      for (const { number, nodeId } of part) {
        this.#cut(number, other.number, lastingMs);
        this.#cut(other.number, number, lastingMs);
        if (!areTold) continue;
        this.#after(hintRandom.magnitude(HINT_MS_MIN, HINT_MS_MAX), () => {
          other.process?.replica?.leadership.nodeLost(nodeId);
        });
      }
    }
  }

  #cut(from: number, to: number, lastingMs: number): void {
    const { network } = this.#options;
    network.cut(from, to);
    this.#after(lastingMs, () => network.heal(from, to));
  }

  /** One link comes and goes. */
  #flap(): void {
    const { random, nodes } = this.#options;
    const [from, to] = [random.below(nodes.length), random.below(nodes.length)];
    for (let atMs = 0, times = 1 + random.below(8); times > 0; times -= 1) {
      const upMs = random.magnitude(10, 1_000);
      const downMs = random.magnitude(10, 1_000);
      this.#after(atMs + upMs, () => this.#cut(from, to, downMs));
      atMs += upMs + downMs;
    }
  }

  /** Somebody hears that a node is gone, and it is not. */
  #hint(): void {
    const { random, nodes } = this.#options;
    random.pick(nodes).process?.replica?.leadership.nodeLost(random.pick(nodes).nodeId);
  }

  #crash(): void {
    const { random, mix, nodes, damage } = this.#options;
    const isPowerCut = random.isTrue(mix.process.powerCutRate);
    const victims = random.isTrue(mix.process.allRate) ? nodes : [random.pick(nodes)];
    for (const victim of victims) {
      damage.crashing(victim);
      victim.crash({ isPowerCut });
    }
  }

  #pause(): void {
    const { random, nodes, log } = this.#options;
    const victim = random.pick(nodes);
    const ms = random.magnitude(50, 8_000);
    log(`node ${victim.number} is paused for ${Math.round(ms)} ms`);
    victim.clock.pause(ms);
  }

  #wipe(): void {
    const { random, nodes, damage } = this.#options;
    damage.wipe(random.pick(nodes));
  }

  #jump(): void {
    const { random, nodes } = this.#options;
    random.pick(nodes).clock.jumpWall(random.between(-1, 1) * random.magnitude(10, 1e8));
  }

  #handOver(): void {
    for (const { process } of this.#options.nodes) {
      const { replica } = process ?? {};
      if (replica?.leadership.isLeader) void replica.leadership.handOver(1_000);
    }
  }

  #stop(): void {
    const { random, nodes } = this.#options;
    void random.pick(nodes).restart();
  }
}
