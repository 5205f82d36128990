import type { Message } from "../../agent/raft/messages.ts";
import { membersOf } from "../../agent/raft/quorum.ts";
import type { MemberId } from "../../agent/raft/types.ts";
import { type Chance, chanceFrom } from "./chance.ts";
import { Cuts } from "./cuts.ts";
import { describeMessage, describeWrite } from "./describe.ts";
import { baseOf, bootstrapDisk, type Disk, EMPTY_DISK, storeOf } from "./disk.ts";
import { drawConfiguration } from "./draw-configuration.ts";
import { Member } from "./member.ts";
import { Safety } from "./safety.ts";
import { Upheaval } from "./upheaval.ts";

const TIMING = { heartbeatMs: 100, electionMs: 1000, electionMaxMs: 4000 };

/** Virtual milliseconds of trouble, and what is given to recover from it afterwards. */
const TROUBLE_MS = 10_000;
const RECOVERY_MS = 20_000;

export interface WalkResult {
  readonly elections: number;
  readonly committed: number;
  readonly confirmedReads: number;
  readonly crashes: number;
  readonly changes: number;
  readonly restores: number;
  /** From the end of the trouble to a new entry that everyone has applied. */
  readonly recoveryMs: number;
}

/** One run of a cluster through trouble and recovery; the same seed is the same run. Throws at a broken rule. */
export function walk(seed: number, trace?: (line: string) => void): WalkResult {
  return new Walk(seed, trace).run();
}

class Walk {
  readonly #chance: Chance;
  readonly #traceLine: ((line: string) => void) | undefined;
  readonly #members = new Map<MemberId, Member>();
  readonly #safety = new Safety();
  readonly #upheaval: Upheaval;
  /** In order of time. */
  readonly #events: { readonly atMs: number; readonly act: () => void }[] = [];
  readonly #cuts: Cuts;
  readonly #diskFreeMs = new Map<MemberId, number>();
  readonly #pausedToMs = new Map<MemberId, number>();
  readonly #troubles: readonly (() => void)[];
  /** Members, logs and state machines change too. */
  readonly #isUpset: boolean;
  #isTrouble = true;
  #nowMs = 0;
  #reads = 0;
  #commands = 0;
  #crashes = 0;
  #loss: number;
  #doubling: number;
  #delayMsMax: number;
  #writeMsMax: number;

  constructor(seed: number, trace: ((line: string) => void) | undefined) {
    const chance = chanceFrom(seed);
    this.#chance = chance;
    this.#traceLine = trace;
    this.#cuts = new Cuts(chance);
    const configuration = drawConfiguration(chance);
    // Some runs are nearly calm, some are a storm.
    this.#loss = chance.pick([0, 0.02, 0.2]);
    this.#doubling = chance.pick([0, 0.05, 0.3]);
    this.#delayMsMax = chance.pick([2, 20, 200]);
    this.#writeMsMax = chance.pick([1, 10, 100]);
    const ids = membersOf(configuration);
    this.#upheaval = new Upheaval(chance, {
      any: (isWanted) => this.#anyOf(isWanted),
      find: (id) => this.#find(id),
      add: (id) => this.#start(this.#add(id, EMPTY_DISK)),
      input: (member, act) => this.#input(member, () => act(member.raft)),
      maybeCrash: (member) => {
        if (this.#isTrouble) this.#crash(member);
        return this.#isTrouble;
      },
      later: (ms, act) => this.#at(this.#nowMs + ms, act),
      trace: (line) => this.#trace(line),
    });
    this.#isUpset = chance.float() < 0.7;
    const isFresh = chance.float() < 0.5;
    const genesis = bootstrapDisk(configuration);
    for (const id of ids) this.#add(id, isFresh && id !== "a" ? EMPTY_DISK : genesis);
    for (const member of this.#members.values()) this.#start(member);
    const { propose, read } = { propose: () => this.#propose(), read: () => this.#read() };
    this.#troubles = [
      ...Array.from({ length: 12 }, () => propose),
      ...Array.from({ length: 8 }, () => read),
      () => this.#crash(this.#anyOf(() => true)),
      ...Array.from({ length: 5 }, () => () => this.#restart()),
      () => this.#cut(),
      ...Array.from({ length: 3 }, () => () => this.#heal()),
      () => this.#loseLeader(),
      ...Array.from({ length: 2 }, () => () => this.#depose()),
      () => this.#transfer(),
      () => this.#learn(),
      () => this.#pause(),
      ...(this.#isUpset ? this.#upheavals() : []),
    ];
  }

  run(): WalkResult {
    this.#at(0, () => this.#trouble());
    this.#runTo(TROUBLE_MS, () => false);
    const recoveryMs = this.#recover();
    return {
      elections: this.#safety.elections,
      committed: this.#safety.committed.length,
      confirmedReads: this.#safety.confirmedReads,
      crashes: this.#crashes,
      changes: this.#upheaval.changes,
      restores: this.#upheaval.restores,
      recoveryMs,
    };
  }

  /** Everything works again, for all or just for a quorum: they must come to agree, and soon. */
  #recover(): number {
    this.#isTrouble = false;
    this.#heal();
    [this.#loss, this.#doubling, this.#delayMsMax, this.#writeMsMax] = [0, 0, 2, 2];
    for (const id of this.#diskFreeMs.keys()) this.#diskFreeMs.set(id, this.#nowMs);
    this.#pausedToMs.clear();
    for (const member of this.#members.values()) if (!member.isUp) this.#start(member);
    const startMs = this.#nowMs;
    let proposed = Number.POSITIVE_INFINITY;
    let retryMs = startMs;
    this.#runTo(startMs + RECOVERY_MS, () => {
      if (this.#nowMs >= retryMs && this.#safety.committed.length < proposed) {
        // The entry of a leader that lost its term may never come to be: try again with the next one.
        const index = this.#propose();
        if (index !== null) [proposed, retryMs] = [index, this.#nowMs + TIMING.electionMs];
      }
      const { configuration } = this.#safety;
      return (
        configuration.outgoing.length === 0 &&
        [...membersOf(configuration)].every((id) => (this.#members.get(id)?.store.index ?? 0) >= proposed)
      );
    });
    const recoveryMs = this.#nowMs - startMs;
    if (recoveryMs < RECOVERY_MS) return recoveryMs;
    const states = [...this.#members.values()].map(
      ({ id, raft }) => `${id} ${raft.role} in ${raft.term}, commit ${raft.commitIndex} of ${raft.lastIndex}`,
    );
    throw new Error(`no agreement ${RECOVERY_MS} ms after everything was healed: ${states.join("; ")}`);
  }

  #runTo(endMs: number, isDone: () => boolean): void {
    while (this.#nowMs < endMs) {
      const due = this.#nextTick();
      const event = this.#events[0];
      const nextMs = Math.min(due?.atMs ?? endMs, event?.atMs ?? endMs, endMs);
      this.#nowMs = Math.max(this.#nowMs, nextMs);
      if (this.#nowMs >= endMs) return;
      if (event !== undefined && event.atMs <= nextMs) {
        this.#events.shift();
        event.act();
      } else if (due !== undefined) this.#input(due.member, () => null);
      if (isDone()) return;
    }
  }

  #nextTick(): { readonly atMs: number; readonly member: Member } | undefined {
    let next: { readonly atMs: number; readonly member: Member } | undefined;
    for (const member of this.#members.values()) {
      if (!member.isUp) continue;
      const atMs = Math.max(onGrid(member.deadlineMs), this.#pausedToMs.get(member.id) ?? 0);
      if (next === undefined || atMs < next.atMs) next = { atMs, member };
    }
    return next;
  }

  #at(dueMs: number, act: () => void): void {
    const atMs = onGrid(dueMs);
    let at = this.#events.length;
    while (at > 0 && (this.#events[at - 1]?.atMs ?? 0) > atMs) at--;
    this.#events.splice(at, 0, { atMs, act });
  }

  #trouble(): void {
    if (!this.#isTrouble) return;
    this.#chance.pick(this.#troubles)();
    this.#at(this.#nowMs + this.#chance.float() * 50, () => this.#trouble());
  }

  /** Everything that happens to a member goes through here. */
  #input<Result>(member: Member, act: () => Result): Result {
    member.advance(this.#nowMs);
    const result = act();
    this.#safety.observeCommit(member);
    // Now and then several inputs are taken together.
    if (this.#isTrouble && this.#chance.float() < 0.2) return result;
    const writes = member.writes.length;
    const messages = member.collect(this.#nowMs);
    this.#safety.observe(member);
    if (member.snapshotFrom !== null || member.isIncomplete) {
      this.#upheaval.fetch(member, member.snapshotFrom);
    }
    const { role, term, commitIndex, leader } = member.raft;
    this.#trace(() => `${member.id}: ${role} of ${leader}, term ${term}, commit ${commitIndex}`);
    for (const message of messages) this.#send(member, message);
    if (member.writes.length > writes) this.#write(member);
    return result;
  }

  #send(member: Member, message: Message): void {
    this.#safety.checkSent(member, message);
    const { from, to } = message;
    const isLost = this.#cuts.isCut(from, to) || this.#chance.float() < this.#loss;
    this.#trace(() => `${from} ${isLost ? "-x" : "->"} ${to}  ${describeMessage(message)}`);
    if (isLost) return;
    const copies = this.#chance.float() < this.#doubling ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      // Mostly quick, sometimes very late.
      const delayMs = this.#chance.float() ** 4 * this.#delayMsMax * (this.#chance.float() < 0.01 ? 10 : 1);
      this.#at(this.#nowMs + delayMs, () => this.#deliver(message));
    }
  }

  #deliver(message: Message): void {
    const member = this.#memberOf(message.to);
    if (!member.isUp) return;
    const pausedToMs = this.#pausedToMs.get(member.id) ?? 0;
    if (pausedToMs > this.#nowMs) this.#at(pausedToMs, () => this.#deliver(message));
    else this.#input(member, () => member.raft.step(message));
  }

  /** The newest write of `member` goes to its disk, which takes one after the other. */
  #write(member: Member): void {
    const write = member.writes.at(-1);
    const startMs = Math.max(this.#nowMs, this.#diskFreeMs.get(member.id) ?? 0);
    const stuckMs = this.#isTrouble && this.#chance.float() < 0.005 ? 2000 : 0;
    const endMs = startMs + this.#chance.float() * this.#writeMsMax + stuckMs;
    this.#diskFreeMs.set(member.id, endMs);
    this.#at(endMs, () => {
      // Lost in a crash, or covered by the answer to a later one.
      if (write === undefined || !member.writes.includes(write)) return;
      let last = member.writeOldest();
      while (last !== undefined && last.sequence < write.sequence) last = member.writeOldest();
      this.#trace(() => `${member.id} disk  ${describeWrite(write)}`);
      this.#safety.checkDisk(member.id);
      this.#input(member, () => member.raft.persisted(write.sequence));
    });
  }

  #start(member: Member): void {
    this.#trace(() => `${member.id}: starts`);
    member.start(this.#nowMs);
    this.#input(member, () => null);
  }

  #propose(): number | null {
    const leader = this.#anyOf((member) => member.raft.role === "leader");
    if (leader === undefined) return null;
    const command = Buffer.from(`x${++this.#commands}`);
    const result = this.#input(leader, () => leader.raft.propose(command));
    return result.kind === "proposed" ? result.index : null;
  }

  #read(): void {
    const leader = this.#anyOf((member) => member.raft.role === "leader");
    if (leader === undefined) return;
    const read = ++this.#reads;
    this.#safety.readAsked(read);
    this.#trace(() => `${leader.id}: read ${read} from ${this.#safety.committed.length}`);
    this.#input(leader, () => leader.raft.read(read));
  }

  #crash(member: Member | undefined): void {
    if (member === undefined) return;
    this.#crashes++;
    // What was being written may have reached the disk without an answer, up to any batch.
    const reached = this.#chance.below(member.writes.length + 1);
    for (let write = 0; write < reached; write++) member.writeOldest();
    this.#trace(() => `${member.id}: crashes, ${reached} of its open writes reached the disk`);
    member.crash();
    // The databases come back as the last checkpoint left them, or newer; rarely, not at all.
    const draw = this.#chance.float();
    if (draw < 0.7) member.disk.store = member.store;
    else if (draw > 0.97 && this.#isUpset && this.#isCopied(member)) member.loseStore();
    this.#safety.crashed(member.id);
    this.#diskFreeMs.set(member.id, this.#nowMs);
    this.#pausedToMs.delete(member.id);
  }

  #restart(): void {
    const down = [...this.#members.values()].filter((member) => !member.isUp);
    if (down.length > 0) this.#start(this.#chance.pick(down));
  }

  #cut(): void {
    this.#cuts.draw([...this.#members.keys()]);
    this.#trace(() => `cut: ${this.#cuts}`);
  }

  #heal(): void {
    this.#cuts.heal();
    this.#trace(() => `healed`);
  }

  #loseLeader(): void {
    const member = this.#anyOf(({ raft }) => raft.leader !== null);
    const leader = member?.raft.leader ?? null;
    if (member === undefined || leader === null) return;
    const delayMs = this.#chance.below(50);
    this.#trace(() => `${member.id}: hears that ${leader} is lost`);
    this.#input(member, () => member.raft.leaderLost(leader, delayMs));
  }

  /** The leader is cut off with a few others, or crashes, and the rest hears of it: now two may think they lead. */
  #depose(): void {
    const leader = this.#anyOf((member) => member.raft.role === "leader");
    if (leader === undefined) return;
    const others = [...this.#members.values()].filter((member) => member !== leader && member.isUp);
    const inside = new Set([
      leader.id,
      ...others.filter(() => this.#chance.float() < 0.2).map(({ id }) => id),
    ]);
    this.#cuts.separate([...this.#members.keys()], inside);
    this.#trace(() => `cut off: ${[...inside].join(" ")}`);
    for (const member of others) {
      const isAware = !inside.has(member.id) && (this.#pausedToMs.get(member.id) ?? 0) <= this.#nowMs;
      const delayMs = this.#chance.below(50);
      if (isAware) this.#input(member, () => member.raft.leaderLost(leader.id, delayMs));
    }
  }

  #transfer(): void {
    const leader = this.#anyOf((member) => member.raft.role === "leader");
    if (leader === undefined) return;
    const to = this.#chance.float() < 0.5 ? null : this.#chance.pick([...this.#members.keys()]);
    this.#trace(() => `${leader.id}: hands over to ${to ?? "anyone"}`);
    this.#input(leader, () => leader.raft.transferLeadership(to));
  }

  /** Somebody hears from outside what is committed, maybe long before the entry itself. */
  #learn(): void {
    const { committed } = this.#safety;
    const member = this.#anyOf(() => true);
    const position = committed[committed.length - 1 - this.#chance.below(3)];
    if (member !== undefined && position !== undefined) {
      this.#input(member, () => member.raft.learnCommitted(position));
    }
  }

  /** The process stands still: what comes meanwhile waits, then time jumps. */
  #pause(): void {
    const member = this.#anyOf(() => true);
    if (member === undefined) return;
    this.#pausedToMs.set(member.id, onGrid(this.#nowMs + this.#chance.float() ** 2 * 3000));
    this.#trace(() => `${member.id}: pauses to ${this.#pausedToMs.get(member.id)}`);
  }

  #add(id: MemberId, disk: Disk): Member {
    const member = new Member({ id, disk, timing: TIMING, random: () => this.#chance.float() });
    this.#members.set(id, member);
    this.#safety.join(member);
    return member;
  }

  /** Undefined while it is down or stands still. */
  #find(id: MemberId): Member | undefined {
    const member = this.#memberOf(id);
    return member.isUp && (this.#pausedToMs.get(id) ?? 0) <= this.#nowMs ? member : undefined;
  }

  /** True if another state machine, on a disk, makes good for the loss of this one. */
  #isCopied({ id, disk }: Member): boolean {
    return [...this.#members.values()].some(
      (other) => other.id !== id && storeOf(other.disk).index >= Math.max(1, baseOf(disk).index),
    );
  }

  #upheavals(): readonly (() => void)[] {
    const compact = () => this.#upheaval.compact();
    const change = () => this.#upheaval.change();
    return [
      ...[compact, compact, compact],
      ...[change, change, change, change],
      () => this.#upheaval.refetch(),
    ];
  }

  /** One that is up, not paused, and as asked for. */
  #anyOf(isWanted: (member: Member) => boolean): Member | undefined {
    const found = [...this.#members.values()].filter(
      (member) => member.isUp && (this.#pausedToMs.get(member.id) ?? 0) <= this.#nowMs && isWanted(member),
    );
    return found.length === 0 ? undefined : this.#chance.pick(found);
  }

  #memberOf(id: MemberId): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`nobody is called ${id}`);
    return member;
  }

  #trace(line: () => string): void {
    if (this.#traceLine !== undefined) this.#traceLine(`${this.#nowMs.toFixed(1).padStart(8)} ${line()}`);
  }
}

/** The next eighth of a millisecond: sums and differences of such times are exact. */
function onGrid(ms: number): number {
  return Math.floor(ms * 8 + 1) / 8;
}
