import type { Configuration, MemberId } from "../../agent/raft/types.ts";
import type { Chance } from "./chance.ts";
import { EMPTY_DISK, type Store } from "./disk.ts";
import type { Member } from "./member.ts";
import type { WalkWorld } from "./walk-world.ts";

/** How many new members may turn up in one walk. */
const NEWCOMERS_MAX = 6;

/** A fetched snapshot arrives after this many milliseconds, or much sooner. */
const FETCH_MS_MAX = 1500;

/** Logs that forget, state machines that are replaced or lost, members that come and go. */
export class Upheaval {
  readonly #chance: Chance;
  readonly #world: WalkWorld;
  readonly #fetching = new Set<MemberId>();
  #newcomers = 0;
  changes = 0;
  restores = 0;

  constructor(world: WalkWorld) {
    this.#world = world;
    this.#chance = world.chance;
  }

  compact(): void {
    const member = this.#world.any(() => true);
    if (member === undefined) return;
    this.#world.input(member, () => member.compact(this.#chance.below(4)));
    this.#world.trace(() => `${member.id}: log begins behind ${member.raft.base.index}`);
  }

  /** `member` was told to fetch a snapshot, or lacks a state machine. One at a time, as the real one does. */
  fetch(member: Member, from: MemberId | null): void {
    if (this.#fetching.has(member.id)) return;
    const source = from === null ? this.#world.any(() => true) : this.#world.find(from);
    if (source === undefined || source === member || source.isIncomplete) return;
    this.#fetching.add(member.id);
    const snapshot = source.store;
    const delayMs = this.#chance.float() ** 3 * FETCH_MS_MAX;
    this.#world.at(this.#world.nowMs + delayMs, () => this.#arrived(member.id, snapshot));
  }

  /** Somebody replaces its state machine though nobody asked for it: it differed from the others'. */
  refetch(): void {
    const member = this.#world.any(() => true);
    if (member !== undefined) this.fetch(member, null);
  }

  change(): void {
    const leader = this.#world.any(({ raft }) => raft.role === "leader");
    if (leader === undefined) return;
    const target = this.#drawTarget(leader.raft.configuration);
    this.#world.trace(() => `${leader.id}: is asked for ${JSON.stringify(target)}`);
    this.#world.input(leader, () => {
      if (leader.raft.changeConfiguration(target).kind === "proposed") this.changes++;
    });
  }

  #arrived(id: MemberId, snapshot: Store): void {
    this.#fetching.delete(id);
    const member = this.#world.find(id);
    const isOfUse = member !== undefined && snapshot.index > member.store.index;
    if (!isOfUse || snapshot.index < member.raft.base.index) return;
    member.install(snapshot);
    this.restores++;
    this.#world.trace(() => `${id}: installs the snapshot ${snapshot.index}/${snapshot.term}`);
    if (this.#chance.float() < 0.1 && this.#world.isTrouble) this.#world.crash(member);
    else this.#world.input(member, () => member.raft.restore(snapshot));
  }

  /** Some of those that are there, and sometimes somebody new. Who has left never comes back. */
  #drawTarget({ voters, learners }: Configuration): { voters: MemberId[]; learners: MemberId[] } {
    const target: { voters: MemberId[]; learners: MemberId[] } = { voters: [], learners: [] };
    for (const id of [...voters, ...learners]) {
      const draw = this.#chance.float();
      const wasVoter = voters.includes(id);
      if (draw < (wasVoter ? 0.75 : 0.4)) target.voters.push(id);
      else if (draw < 0.85) target.learners.push(id);
    }
    if (this.#newcomers < NEWCOMERS_MAX && this.#chance.float() < 0.5) {
      const id = `n${++this.#newcomers}`;
      this.#world.start(this.#world.add(id, EMPTY_DISK));
      target[this.#chance.float() < 0.5 ? "voters" : "learners"].push(id);
    }
    return target;
  }
}
