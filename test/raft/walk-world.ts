import type { Message } from "../../agent/raft/messages.ts";
import type { MemberId } from "../../agent/raft/types.ts";
import type { Chance } from "./chance.ts";
import { Cuts } from "./cuts.ts";
import { describeMessage, describeWrite } from "./describe.ts";
import { baseOf, type Disk, storeOf } from "./disk.ts";
import { Member } from "./member.ts";
import { Safety } from "./safety.ts";

export const TIMING = { heartbeatMs: 100, electionMs: 1000, electionMaxMs: 4000 };

export interface WalkWorldOptions {
  readonly chance: Chance;
  /** Gets a line for each thing that happens. */
  readonly trace?: (line: string) => void;
  /** `member` was told to fetch a snapshot, or lacks a state machine. */
  readonly onSnapshotNeeded: (member: Member) => void;
}

/**
 * Members, the network between them and the disks below them, in virtual time: every delay, loss and stall is drawn, and
 * all that anybody does is checked by `Safety`.
 */
export class WalkWorld {
  readonly chance: Chance;
  readonly safety = new Safety();
  readonly cuts: Cuts;
  readonly members = new Map<MemberId, Member>();
  /** Members, logs and state machines change too. */
  readonly isUpset: boolean;
  /** False once all is to recover. */
  isTrouble = true;
  nowMs = 0;
  crashes = 0;
  readonly #options: WalkWorldOptions;
  /** In order of time. */
  readonly #events: { readonly atMs: number; readonly act: () => void }[] = [];
  readonly #diskFreeMs = new Map<MemberId, number>();
  readonly #pausedToMs = new Map<MemberId, number>();
  #loss: number;
  #doubling: number;
  #delayMsMax: number;
  #writeMsMax: number;

  constructor(options: WalkWorldOptions) {
    const { chance } = options;
    this.#options = options;
    this.chance = chance;
    this.cuts = new Cuts(chance);
    // Some runs are nearly calm, some are a storm.
    this.#loss = chance.pick([0, 0.02, 0.2]);
    this.#doubling = chance.pick([0, 0.05, 0.3]);
    this.#delayMsMax = chance.pick([2, 20, 200]);
    this.#writeMsMax = chance.pick([1, 10, 100]);
    this.isUpset = chance.float() < 0.7;
  }

  /** Everything works again, and everybody is there. */
  calm(): void {
    this.isTrouble = false;
    this.heal();
    [this.#loss, this.#doubling, this.#delayMsMax, this.#writeMsMax] = [0, 0, 2, 2];
    for (const id of this.#diskFreeMs.keys()) this.#diskFreeMs.set(id, this.nowMs);
    this.#pausedToMs.clear();
    for (const member of this.members.values()) if (!member.isUp) this.start(member);
  }

  heal(): void {
    this.cuts.heal();
    this.trace(() => `healed`);
  }

  /** Until `endMs`, or `isDone` after some input. */
  runTo(endMs: number, isDone: () => boolean): void {
    while (this.nowMs < endMs) {
      const due = this.#nextTick();
      const event = this.#events[0];
      const nextMs = Math.min(due?.atMs ?? endMs, event?.atMs ?? endMs, endMs);
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (this.nowMs >= endMs) return;
      if (event !== undefined && event.atMs <= nextMs) {
        this.#events.shift();
        event.act();
      } else if (due !== undefined) this.input(due.member, () => null);
      if (isDone()) return;
    }
  }

  /** Once time has come to `dueMs`. */
  at(dueMs: number, act: () => void): void {
    const atMs = onGrid(dueMs);
    let at = this.#events.length;
    while (at > 0 && (this.#events[at - 1]?.atMs ?? 0) > atMs) at--;
    this.#events.splice(at, 0, { atMs, act });
  }

  add(id: MemberId, disk: Disk): Member {
    const member = new Member({ id, disk, timing: TIMING, random: () => this.chance.float() });
    this.members.set(id, member);
    this.safety.join(member);
    return member;
  }

  /** Undefined while it is down or stands still. */
  find(id: MemberId): Member | undefined {
    const member = this.#memberOf(id);
    return member.isUp && (this.#pausedToMs.get(id) ?? 0) <= this.nowMs ? member : undefined;
  }

  /** True if another state machine, on a disk, makes good for the loss of this one. */
  #isCopied({ id, disk }: Member): boolean {
    return [...this.members.values()].some(
      (other) => other.id !== id && storeOf(other.disk).index >= Math.max(1, baseOf(disk).index),
    );
  }

  /** Everything that happens to a member goes through here. */
  input<Result>(member: Member, act: () => Result): Result {
    member.advance(this.nowMs);
    const result = act();
    this.safety.observeCommit(member);
    // Now and then several inputs are taken together.
    if (this.isTrouble && this.chance.float() < 0.2) return result;
    const writes = member.writes.length;
    const messages = member.collect(this.nowMs);
    this.safety.observe(member);
    if (member.snapshotFrom !== null || member.isIncomplete) this.#options.onSnapshotNeeded(member);
    const { role, term, commitIndex, leader } = member.raft;
    this.trace(() => `${member.id}: ${role} of ${leader}, term ${term}, commit ${commitIndex}`);
    for (const message of messages) this.#send(member, message);
    if (member.writes.length > writes) this.#write(member);
    return result;
  }

  #send(member: Member, message: Message): void {
    this.safety.checkSent(member, message);
    const { from, to } = message;
    const isLost = this.cuts.isCut(from, to) || this.chance.float() < this.#loss;
    this.trace(() => `${from} ${isLost ? "-x" : "->"} ${to}  ${describeMessage(message)}`);
    if (isLost) return;
    const copies = this.chance.float() < this.#doubling ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      // Mostly quick, sometimes very late.
      const delayMs = this.chance.float() ** 4 * this.#delayMsMax * (this.chance.float() < 0.01 ? 10 : 1);
      this.at(this.nowMs + delayMs, () => this.#deliver(message));
    }
  }

  #deliver(message: Message): void {
    const member = this.#memberOf(message.to);
    if (!member.isUp) return;
    const pausedToMs = this.#pausedToMs.get(member.id) ?? 0;
    if (pausedToMs > this.nowMs) this.at(pausedToMs, () => this.#deliver(message));
    else this.input(member, () => member.raft.step(message));
  }

  /** The newest write of `member` goes to its disk, which takes one after the other. */
  #write(member: Member): void {
    const write = member.writes.at(-1);
    const startMs = Math.max(this.nowMs, this.#diskFreeMs.get(member.id) ?? 0);
    const stuckMs = this.isTrouble && this.chance.float() < 0.005 ? 2000 : 0;
    const endMs = startMs + this.chance.float() * this.#writeMsMax + stuckMs;
    this.#diskFreeMs.set(member.id, endMs);
    this.at(endMs, () => {
      if (this.chance.float() < 0.5) member.forgetVoidWrites();
      // Lost in a crash, void, or covered by the answer to a later one.
      if (write === undefined || !member.writes.includes(write)) return;
      let last = member.writeOldest();
      while (last !== undefined && last.sequence < write.sequence) last = member.writeOldest();
      this.trace(() => `${member.id} disk  ${describeWrite(write)}`);
      this.safety.checkDisk(member.id);
      this.input(member, () => member.raft.persisted(write.sequence));
    });
  }

  start(member: Member): void {
    this.trace(() => `${member.id}: starts`);
    member.start(this.nowMs);
    this.input(member, () => null);
  }

  crash(member: Member | undefined): void {
    if (member === undefined) return;
    this.crashes++;
    // What was being written may have reached the disk without an answer, up to any batch.
    const reached = this.chance.below(member.writes.length + 1);
    for (let write = 0; write < reached; write++) member.writeOldest();
    this.trace(() => `${member.id}: crashes, ${reached} of its open writes reached the disk`);
    member.crash();
    // The databases come back as the last checkpoint left them, or newer; rarely, not at all.
    const draw = this.chance.float();
    if (draw < 0.7) member.disk.store = member.store;
    else if (draw > 0.97 && this.isUpset && this.#isCopied(member)) member.loseStore();
    this.safety.crashed(member.id);
    this.#diskFreeMs.set(member.id, this.nowMs);
    this.#pausedToMs.delete(member.id);
  }

  /** The process stands still: what comes meanwhile waits, then time jumps. */
  pause(member: Member | undefined): void {
    if (member === undefined) return;
    this.#pausedToMs.set(member.id, onGrid(this.nowMs + this.chance.float() ** 2 * 3000));
    this.trace(() => `${member.id}: pauses to ${this.#pausedToMs.get(member.id)}`);
  }

  /** One that is up, not paused, and as asked for. */
  any(isWanted: (member: Member) => boolean): Member | undefined {
    const found = [...this.members.values()].filter(
      (member) => member.isUp && (this.#pausedToMs.get(member.id) ?? 0) <= this.nowMs && isWanted(member),
    );
    return found.length === 0 ? undefined : this.chance.pick(found);
  }

  #memberOf(id: MemberId): Member {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`nobody is called ${id}`);
    return member;
  }

  trace(line: () => string): void {
    this.#options.trace?.(`${this.nowMs.toFixed(1).padStart(8)} ${line()}`);
  }

  #nextTick(): { readonly atMs: number; readonly member: Member } | undefined {
    let next: { readonly atMs: number; readonly member: Member } | undefined;
    for (const member of this.members.values()) {
      if (!member.isUp) continue;
      const atMs = Math.max(onGrid(member.deadlineMs), this.#pausedToMs.get(member.id) ?? 0);
      if (next === undefined || atMs < next.atMs) next = { atMs, member };
    }
    return next;
  }
}

/** The next eighth of a millisecond: sums and differences of such times are exact. */
function onGrid(ms: number): number {
  return Math.floor(ms * 8 + 1) / 8;
}
