import { Client, type ClientOptions } from "./client.ts";
import type { FaultMix } from "./fault-mix.ts";
import type { KvOperation } from "./kv-sql.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { NOBODY, type World } from "./world.ts";

/** How long the first leader goes on sending when it hears nobody any more. */
const SENDING_MS_MIN = 5;
const SENDING_MS_MAX = 200;
/** By how much later than usual it hears the others then. */
const LATE_MS_MIN = 50;
const LATE_MS_MAX = 1_500;
/** More than an election takes of which all are told. */
const ELECTION_MS_MAX = 600;
const LOOK_MS = 10;
/** The second leader is away for so long. */
const CUT_MS_MIN = 300;
const CUT_MS_MAX = 5_000;

export interface LeadershipSwingOptions {
  readonly world: World;
  readonly random: SimRandom;
  readonly mix: FaultMix;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly isBad: () => boolean;
  /** Of those who ask both leaders. */
  readonly clientOptions: Omit<ClientOptions, "name" | "random">;
  readonly log: (text: string) => void;
}

interface Swing {
  readonly first: SimNode;
  readonly second: SimNode;
  readonly lateMs: number;
}

/**
 * Leadership goes to and fro:
 *
 *     first leads -> it hears nobody, and sends out a write -> nobody hears it, and it hears the others late
 *                 -> second leads, commits the write with its first entry and tells a reader of it; first still believes that it leads,
 *                    and is asked by the same reader
 *                 -> second is cut off, and its first entry comes to first only now -> first may lead again
 *
 * So what was asked of a leader, or begun by it, meets its next term, in which it knows less than others were told meanwhile: it has
 * the write, but nobody has told it that this one is committed.
 */
export class LeadershipSwing {
  readonly #options: LeadershipSwingOptions;
  /** One for each key. */
  readonly #clients: readonly Client[];
  #writes = 0;

  constructor(options: LeadershipSwingOptions) {
    this.#options = options;
    const { clientOptions, random, mix } = options;
    this.#clients = Array.from(
      { length: mix.clients.keys },
      (_, nth) => new Client({ ...clientOptions, random, name: `s${nth}` }),
    );
  }

  start(): void {
    const { random, mix } = this.#options;
    const meanMs = mix.process.swingEveryMs;
    if (!Number.isFinite(meanMs)) return;
    this.#after(meanMs * random.between(0.2, 1.8), () => {
      this.#swing();
      this.start();
    });
  }

  #swing(): void {
    const { random, network, nodes, log } = this.#options;
    const [first] = nodes.filter(isLeading);
    if (first === undefined) return;
    log(`node ${first.number} hears nobody, and is about to be heard by nobody`);
    for (const { number } of nodes) if (number !== first.number) network.cut(number, first.number);
    const nth = random.below(this.#clients.length);
    this.#writes += 1;
    void this.#ask(first, nth, { kind: "put", key: `k${nth}`, value: `s${nth}.${this.#writes}` });
    this.#after(random.magnitude(SENDING_MS_MIN, SENDING_MS_MAX), () => this.#silence(first));
  }

  #silence(first: SimNode): void {
    const { random, network, nodes, log } = this.#options;
    const lateMs = random.magnitude(LATE_MS_MIN, LATE_MS_MAX);
    log(`node ${first.number} is not heard, and hears the others ${Math.round(lateMs)} ms late`);
    for (const other of nodes) {
      if (other === first) continue;
      network.cut(first.number, other.number);
      network.heal(other.number, first.number);
      network.detour(other.number, first.number, lateMs);
      other.process?.replica?.leadership.nodeLost(first.nodeId);
    }
    this.#awaitSecond(first, lateMs, ELECTION_MS_MAX);
  }

  #awaitSecond(first: SimNode, lateMs: number, leftMs: number): void {
    this.#after(LOOK_MS, () => {
      const second = this.#options.nodes.find((node) => node !== first && isLeading(node));
      if (second !== undefined) this.#askBoth({ first, second, lateMs });
      else if (leftMs > 0) this.#awaitSecond(first, lateMs, leftMs - LOOK_MS);
      else this.#mend(first);
    });
  }

  /** What second has told, first must tell, too. It is asked before it hears that there is another leader. */
  #askBoth(swing: Swing): void {
    const { random, isBad } = this.#options;
    let isAsked = false;
    const askFirst = (): void => {
      if (isAsked || !isBad()) return;
      isAsked = true;
      void this.#read(swing.first);
      this.#swingBack(swing);
    };
    void this.#read(swing.second).then(askFirst);
    this.#after(swing.lateMs * random.between(0.5, 1), askFirst);
  }

  /** All there is. */
  async #read(node: SimNode): Promise<void> {
    await Promise.all(this.#clients.map((_, nth) => this.#ask(node, nth, { kind: "get", key: `k${nth}` })));
  }

  async #ask(node: SimNode, nth: number, operation: KvOperation): Promise<void> {
    try {
      await this.#clients[nth]?.ask(node, operation);
    } catch (error) {
      this.#options.world.end({ kind: "violation", error });
    }
  }

  #swingBack({ first, second, lateMs }: Swing): void {
    const { random, network, nodes, log } = this.#options;
    this.#mend(first);
    const lastingMs = random.magnitude(CUT_MS_MIN, CUT_MS_MAX);
    log(`node ${second.number}, which has led since, is cut off`);
    for (const { number } of nodes) {
      if (number === second.number) continue;
      network.cut(number, second.number);
      network.cut(second.number, number);
      this.#after(lastingMs, () => {
        network.heal(number, second.number);
        network.heal(second.number, number);
      });
    }
    // When what it has sent has come, or most of it.
    this.#after(lateMs * random.between(0.9, 1.3), () => {
      for (const { process } of nodes) process?.replica?.leadership.nodeLost(second.nodeId);
    });
  }

  #mend(first: SimNode): void {
    const { network, nodes } = this.#options;
    for (const { number } of nodes) {
      network.heal(first.number, number);
      network.detour(number, first.number, 0);
    }
  }

  #after(ms: number, act: () => void): void {
    const { world, isBad } = this.#options;
    world.at(ms, NOBODY, () => {
      if (isBad()) act();
    });
  }
}

function isLeading({ process }: SimNode): boolean {
  return process?.replica?.leadership.isLeader === true;
}
