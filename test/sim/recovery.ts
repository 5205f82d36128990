import { membersOf } from "../../agent/raft/quorum.ts";
import { type Ailment, drawAilment } from "./ailment.ts";
import { Client, type ClientOptions } from "./client.ts";
import { ClosingRequests } from "./closing-requests.ts";
import type { CopyWatch } from "./copy-watch.ts";
import { drillDamage } from "./damage-drill.ts";
import { drillDivergence } from "./divergence-drill.ts";
import { drillFailover } from "./failover-drill.ts";
import type { FaultMix } from "./fault-mix.ts";
import type { ObjectWatch } from "./object-watch.ts";
import type { ObjectWatcher } from "./object-watcher.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimRandom } from "./sim-random.ts";
import { Stuck } from "./violation.ts";
import { NOBODY, type World } from "./world.ts";

/** Elections, catching up and what was still on its way take less than this, once a quorum is well. */
const RECOVERY_MS_MAX = 60_000;
const LOOK_MS = 100;
/** How often only a bare quorum is healed, and the rest stays away. */
const BARE_QUORUM_RATE = 0.4;

export interface RecoveryOptions {
  readonly world: World;
  readonly mix: FaultMix;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly nodes: readonly SimNode[];
  readonly clients: readonly Pick<Client, "stop">[];
  readonly watchers: readonly ObjectWatcher[];
  readonly clientOptions: Omit<ClientOptions, "name">;
  readonly copies: CopyWatch;
  readonly objects: ObjectWatch;
  /** Null if there is to be no drill. */
  readonly drillRandom: SimRandom | null;
  /** Likewise. */
  readonly damageRandom: SimRandom | null;
  readonly leaderRandom: SimRandom;
  readonly closingRandom: SimRandom;
  readonly hangRandom: SimRandom;
  readonly log: (text: string) => void;
}

/** The good end: a quorum is healed, and must elect, commit, answer everyone and converge, in bounded virtual time. */
export class Recovery {
  readonly #options: RecoveryOptions;
  #healed: readonly SimNode[] = [];
  #ailment: Ailment | null = null;
  /** What is waited for. */
  #wanted = "anything";

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  begin(): void {
    const { world, network, nodes, random, log, clients } = this.#options;
    const able = nodes.filter(({ isOut }) => !isOut);
    const away = new Set<string>();
    for (const { memberId, around } of random.isTrue(BARE_QUORUM_RATE) ? able : []) {
      if (around.watch.hasQuorumWithout(new Set([...around.lost, ...away, memberId]))) away.add(memberId);
    }
    this.#healed = able.filter(({ memberId }) => !away.has(memberId));
    log(`healed: ${this.#healed.map(({ number }) => number)}`);
    for (const client of clients) client.stop();
    network.becomeGood();
    for (const node of nodes) {
      node.space.become("roomy");
      node.hang.end();
      node.clock.wake();
      if (this.#healed.includes(node)) node.start();
      else if (!node.isOut) node.lose("it is not of the healed quorum");
    }
    const { leaderRandom, hangRandom } = this.#options;
    const ails = { random, leaderRandom, hangRandom, network, nodes, log };
    this.#ailment = drawAilment({ ...ails, healed: this.#healed, leader: this.#leader() });
    // Holds for what is waited for too: a request that never settles must not hold up the end.
    world.at(RECOVERY_MS_MAX, NOBODY, () => world.end({ kind: "violation", error: this.#stuck() }));
    this.#goOn().then(
      () => world.end({ kind: "done", error: null }),
      (error: unknown) => world.end({ kind: "violation", error }),
    );
  }

  #stuck(): Stuck {
    return new Stuck(`not within ${RECOVERY_MS_MAX} ms after healing: ${this.#wanted}`);
  }

  async #goOn(): Promise<void> {
    const client = new Client({ ...this.#options.clientOptions, name: "last" });
    await this.#until("somebody leads", async () => this.#leader() !== undefined);
    const write = () =>
      this.#until("a write is answered", async () => {
        const { random, world } = this.#options;
        return client.ask(random.pick(this.#answering()), {
          kind: "put",
          key: "last",
          value: `last.${world.steps}`,
        });
      });
    await write();
    await this.#cure();
    await this.#until("all have applied the same", async () => this.#hasConverged());
    await this.#until("logs are within their bytes", async () => this.#members().every(isLogBounded));
    const { world, mix, copies, objects, watchers, drillRandom, log } = this.#options;
    for (const watcher of watchers) watcher.stayWith(() => this.#members());
    const isUpToDate = async () => watchers.every(({ place }) => place >= objects.newest);
    await this.#until("watchers have seen all changes", isUpToDate);
    if (drillRandom !== null) {
      await drillDivergence({
        random: drillRandom,
        copies,
        members: () => this.#members(),
        leader: () => this.#leader(),
        write,
        until: (what, isMet) => this.#until(what, async () => isMet()),
        hasConverged: () => this.#hasConverged(),
        log,
      });
    }
    const { damageRandom } = this.#options;
    if (damageRandom !== null) {
      await drillDamage({
        random: damageRandom,
        members: () => this.#members(),
        until: (what, isMet) => this.#until(what, async () => isMet()),
        log,
      });
    }
    await drillFailover({
      ...{ mix, world, log },
      members: () => this.#members(),
      leader: () => this.#leader(),
      until: (what, isMet) => this.#until(what, async () => isMet()),
      hasConverged: () => this.#hasConverged(),
    });
    for (const node of this.#healed) {
      for (const key of ["k0", "k1", "k2", "k3", "last"]) {
        // Each time anew: a change that was under way when all was healed may vote it out only now.
        const isDone = async () => !this.#members().includes(node) || client.ask(node, { kind: "get", key });
        await this.#until(`node ${node.number} reads ${key}`, isDone);
      }
    }
    await new ClosingRequests({
      random: this.#options.closingRandom,
      members: () => this.#members(),
      leader: () => this.#leader(),
      until: (what, isMet) => this.#until(what, isMet),
      log,
    }).run();
    await write();
  }

  async #cure(): Promise<void> {
    const ailment = this.#ailment;
    if (ailment === null) return;
    await this.#until(ailment.wanted, async () => ailment.isMet(this.#leader()));
    ailment.cure();
    this.#ailment = null;
  }

  /** Of the members those that a request gets through to. */
  #answering(): readonly SimNode[] {
    const deaf = this.#ailment?.answers === false ? this.#ailment.node : null;
    return this.#members().filter((node) => node !== deaf);
  }

  #leader(): SimNode | undefined {
    return this.#healed.find(({ process }) => process?.replica?.leadership.isLeader === true);
  }

  /** The healed ones that still, or already, belong to the cluster; all while nobody leads. */
  #members(): readonly SimNode[] {
    const status = this.#leader()?.process?.replica?.status();
    if (status === undefined) return this.#healed;
    const members = membersOf(status);
    return this.#healed.filter(({ memberId }) => members.has(memberId));
  }

  #hasConverged(): boolean {
    const states = this.#members().map(({ process }) => process?.replica?.status());
    const commits = new Set(states.map((status) => status?.commitIndex));
    const leaders = new Set(states.map((status) => status?.leader));
    const isApplied = states.every(
      (status) => status?.appliedIndex === status?.commitIndex && status?.copyFault === null,
    );
    const taints = new Set(this.#members().map(({ memberId }) => this.#options.copies.taintOf(memberId)));
    if (taints.size > 1) return false;
    return isApplied && commits.size === 1 && leaders.size === 1 && !leaders.has(null);
  }

  async #until(what: string, isMet: () => Promise<boolean>): Promise<void> {
    const { world } = this.#options;
    this.#wanted = what;
    while (!(await isMet())) {
      await new Promise<void>((resolve) => world.at(LOOK_MS, NOBODY, resolve));
    }
  }
}

/**
 * A log that could not be cut, for a snapshot that was being sent or a copy that was out of use, holds up to four times what it is to
 * retain. It is cut when it has grown by an eighth, then.
 */
function isLogBounded({ process, around }: SimNode): boolean {
  const { logBytes } = process?.replica?.status() ?? {};
  return logBytes !== undefined && logBytes <= around.mix.logRetainBytes * (4 + 1 / 8);
}
