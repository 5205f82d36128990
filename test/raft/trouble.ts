import type { Upheaval } from "./upheaval.ts";
import type { WalkWorld } from "./walk-world.ts";

/** From one trouble to the next, at most. */
const TROUBLE_EVERY_MS = 50;

/** What happens to a cluster while it walks: clients that ask, members that crash, networks that break. One after the other. */
export class Trouble {
  readonly #world: WalkWorld;
  /** One of these is picked: who stands here more often comes more often. */
  readonly #kinds: readonly (() => void)[];
  #reads = 0;
  #commands = 0;

  constructor(world: WalkWorld, upheaval: Upheaval) {
    this.#world = world;
    const often = (times: number, act: () => void) => Array.from({ length: times }, () => act);
    this.#kinds = [
      ...often(12, () => this.propose()),
      ...often(8, () => this.#read()),
      () => world.crash(world.any(() => true)),
      ...often(5, () => this.#restart()),
      () => this.#cut(),
      ...often(3, () => world.heal()),
      () => this.#loseLeader(),
      ...often(2, () => this.#depose()),
      () => this.#transfer(),
      () => this.#learn(),
      () => world.pause(world.any(() => true)),
    ];
    if (!world.isUpset) return;
    this.#kinds = [
      ...this.#kinds,
      ...often(3, () => upheaval.compact()),
      ...often(4, () => upheaval.change()),
      () => upheaval.refetch(),
    ];
  }

  /** The next one, and so on until all is to recover. */
  begin(): void {
    if (!this.#world.isTrouble) return;
    this.#world.chance.pick(this.#kinds)();
    this.#world.at(this.#world.nowMs + this.#world.chance.float() * TROUBLE_EVERY_MS, () => this.begin());
  }

  /** The index of the entry; null if nobody takes it. */
  propose(): number | null {
    const leader = this.#world.any((member) => member.raft.role === "leader");
    if (leader === undefined) return null;
    const command = Buffer.from(`x${++this.#commands}`);
    const result = this.#world.input(leader, () => leader.raft.propose(command));
    return result.kind === "proposed" ? result.index : null;
  }

  #read(): void {
    const leader = this.#world.any((member) => member.raft.role === "leader");
    if (leader === undefined) return;
    const read = ++this.#reads;
    this.#world.safety.readAsked(read);
    this.#world.trace(() => `${leader.id}: read ${read} from ${this.#world.safety.committed.length}`);
    this.#world.input(leader, () => leader.raft.read(read));
  }

  #restart(): void {
    const down = [...this.#world.members.values()].filter((member) => !member.isUp);
    if (down.length > 0) this.#world.start(this.#world.chance.pick(down));
  }

  #cut(): void {
    this.#world.cuts.draw([...this.#world.members.keys()]);
    this.#world.trace(() => `cut: ${this.#world.cuts}`);
  }

  #loseLeader(): void {
    const member = this.#world.any(({ raft }) => raft.leader !== null);
    const leader = member?.raft.leader ?? null;
    if (member === undefined || leader === null) return;
    const delayMs = this.#world.chance.below(50);
    this.#world.trace(() => `${member.id}: hears that ${leader} is lost`);
    this.#world.input(member, () => member.raft.leaderLost(leader, delayMs));
  }

  /** The leader is cut off with a few others, or crashes, and the rest hears of it: now two may think they lead. */
  #depose(): void {
    const leader = this.#world.any((member) => member.raft.role === "leader");
    if (leader === undefined) return;
    const others = [...this.#world.members.values()].filter((member) => member !== leader && member.isUp);
    const inside = new Set([
      leader.id,
      ...others.filter(() => this.#world.chance.float() < 0.2).map(({ id }) => id),
    ]);
    this.#world.cuts.separate([...this.#world.members.keys()], inside);
    this.#world.trace(() => `cut off: ${[...inside].join(" ")}`);
    for (const member of others) {
      const isAware = !inside.has(member.id) && this.#world.find(member.id) !== undefined;
      const delayMs = this.#world.chance.below(50);
      if (isAware) this.#world.input(member, () => member.raft.leaderLost(leader.id, delayMs));
    }
  }

  #transfer(): void {
    const leader = this.#world.any((member) => member.raft.role === "leader");
    if (leader === undefined) return;
    const to =
      this.#world.chance.float() < 0.5 ? null : this.#world.chance.pick([...this.#world.members.keys()]);
    this.#world.trace(() => `${leader.id}: hands over to ${to ?? "anyone"}`);
    this.#world.input(leader, () => leader.raft.transferLeadership(to));
  }

  /** Somebody hears from outside what is committed, maybe long before the entry itself. */
  #learn(): void {
    const { committed } = this.#world.safety;
    const member = this.#world.any(() => true);
    const position = committed[committed.length - 1 - this.#world.chance.below(3)];
    if (member !== undefined && position !== undefined) {
      this.#world.input(member, () => member.raft.learnCommitted(position));
    }
  }
}
