import type { Message } from "../../agent/raft/messages.ts";
import type { Raft } from "../../agent/raft/raft.ts";
import type { MemberId } from "../../agent/raft/types.ts";
import { describeConfiguration, describeMessage, describeWrite } from "./describe.ts";
import { bootstrapDisk, type Disk, type Store, votersOnly } from "./disk.ts";
import { Member } from "./member.ts";

export interface ConversationOptions {
  /** Each with its disk, or only names: then all of them are voters and hold the configuration that says so. */
  readonly members: readonly MemberId[] | Readonly<Record<MemberId, Disk>>;
  /**
   * Where in [T, 2T) each member's election timeouts fall, as a float in [0, 1). By default in the order of the
   * members, so that the first one campaigns first.
   */
  readonly chance?: Readonly<Record<MemberId, number>>;
}

/** Messages of this kind, from this member, to this one: all that is named must fit. */
export type Selection = Partial<Pick<Message, "kind" | "from" | "to">>;

/** What becomes of a message when it is sent. */
export type Fate = "arrives" | "is lost" | "arrives twice" | "waits";

const ARROWS: Record<Fate, string> = { arrives: "->", "is lost": "-x", "arrives twice": "=>", waits: "-|" };

/** Round figures, so that a reader can count. */
export const HEARTBEAT_MS = 100;
export const ELECTION_MS = 1000;
export const ELECTION_MAX_MS = 10_000;

/**
 * Members that talk, and what they said.
 *
 * Nothing happens by itself: time moves with `run`, and after each step messages are delivered in the order they
 * were sent and disks finish their writes, until all is quiet. `fate` decides over each message; `holdDisk` lets
 * writes wait; `crash` loses them.
 *
 *     a -> b  text      sent, and delivered later (-x lost, => doubled, -| held until `release`)
 *     a disk  text      a write became durable
 *     a: text           what became of a
 */
export class Conversation {
  readonly #members = new Map<MemberId, Member>();
  /** Decides over each message as it is sent. */
  fate: (message: Message) => Fate = () => "arrives";
  readonly #heldDisks = new Set<MemberId>();
  readonly #said = new Map<MemberId, string>();
  #network: Message[] = [];
  #held: Message[] = [];
  #lines: { readonly from: string; readonly to: string[]; readonly arrow: string; readonly text: string }[] =
    [];
  #nowMs = 0;

  constructor(options: ConversationOptions) {
    const disks = disksOf(options.members);
    for (const [at, [id, disk]] of disks.entries()) {
      this.#add(id, disk, options.chance?.[id] ?? at / disks.length);
    }
    this.takeTranscript();
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  raft(id: MemberId): Raft {
    return this.#member(id).raft;
  }

  disk(id: MemberId): Disk {
    return this.#member(id).disk;
  }

  /** What the state machine of `id` has come to: a snapshot of it. */
  store(id: MemberId): Store {
    return this.#member(id).store;
  }

  /** `id` makes its state machine durable and forgets the log up to there. */
  compact(id: MemberId): void {
    this.#member(id).compact();
    const { index, term } = this.raft(id).base;
    this.#note(id, `log begins behind ${index}/${term}`);
  }

  /** `id` has fetched a snapshot and installs it. */
  restore(id: MemberId, snapshot: Store): boolean {
    this.#note(id, `installs the snapshot ${snapshot.index}/${snapshot.term}`);
    this.#member(id).install(snapshot);
    return this.act(id, (raft) => raft.restore(snapshot));
  }

  /** Lets `id` act, then everyone, until all is quiet. */
  act<Result>(id: MemberId, input: (raft: Raft) => Result): Result {
    const member = this.#member(id);
    member.advance(this.#nowMs);
    const result = input(member.raft);
    this.#collect(member);
    this.settle();
    return result;
  }

  /** Time passes: everyone acts at their deadlines. */
  run(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#members.values()].reduce((a, b) => (b.deadlineMs < a.deadlineMs ? b : a));
      if (due.deadlineMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, due.deadlineMs);
      this.#collect(due);
      this.settle();
    }
    this.#nowMs = endMs;
  }

  /** Delivers and writes until all is quiet. */
  settle(): void {
    for (;;) {
      const message = this.#network.shift();
      if (message !== undefined) {
        this.#deliver(message);
        continue;
      }
      const writers = [...this.#members.values()].filter(
        (member) => member.writes.length > 0 && !this.#heldDisks.has(member.id),
      );
      if (writers.length === 0) return;
      for (const writer of writers) this.#persist(writer);
    }
  }

  /** Delivers a message that nobody sent just now: an old one, or one of the test's making. */
  inject(message: Message): void {
    this.#line(message.from, message.to, "late", describeMessage(message));
    this.#network.push(message);
    this.settle();
  }

  /** What waits for `release`. */
  get held(): readonly Message[] {
    return this.#held;
  }

  /** Delivers what was held, in the given order; without one, in the order it was sent. What is left out is lost. */
  release(order: (held: readonly Message[]) => readonly Message[] = (held) => held): void {
    const messages = order(this.#held);
    this.#held = [];
    for (const message of messages) this.inject(message);
  }

  /** Writes of `id` stay unfinished from now on. */
  holdDisk(id: MemberId): void {
    this.#heldDisks.add(id);
  }

  releaseDisk(id: MemberId): void {
    this.#heldDisks.delete(id);
    this.settle();
  }

  /** See `Member.forgetVoidWrites`. */
  forgetVoidWrites(id: MemberId): void {
    this.#member(id).forgetVoidWrites();
  }

  /** Only one write of a held disk becomes durable. */
  persistOne(id: MemberId): void {
    this.#persist(this.#member(id));
    this.settle();
  }

  /** These messages are lost from now on; all others arrive. `heal` ends it. */
  lose(selection: Selection): void {
    this.fate = (message) => (fits(message, selection) ? "is lost" : "arrives");
  }

  /** These messages wait for `release`; all others arrive. */
  hold(selection: Selection): void {
    this.fate = (message) => (fits(message, selection) ? "waits" : "arrives");
  }

  /** Nothing reaches or leaves these any more, not even each other. `heal` ends it. */
  cutOff(...ids: readonly MemberId[]): void {
    this.fate = ({ from, to }) => (ids.includes(from) || ids.includes(to) ? "is lost" : "arrives");
  }

  /** Everything arrives again. */
  heal(): void {
    this.fate = () => "arrives";
  }

  crash(id: MemberId): void {
    this.#member(id).crash();
    this.#network = this.#network.filter(({ to }) => to !== id);
    this.#said.delete(id);
    this.#note(id, "crashes");
  }

  restart(id: MemberId): void {
    const member = this.#member(id);
    member.start(this.#nowMs);
    this.#note(id, "starts");
    this.#collect(member);
    this.settle();
  }

  /** `id` campaigns at once, as if its leader had asked it to. */
  campaign(id: MemberId): void {
    this.act(id, (raft) =>
      raft.step({ kind: "timeout-now", from: raft.leader ?? id, to: id, term: raft.term }),
    );
  }

  /** `id` hears from outside that `leader` is gone, and campaigns after `delayMs`. */
  leaderLost(id: MemberId, leader: MemberId, delayMs: number): void {
    this.act(id, (raft) => raft.leaderLost(leader, delayMs));
  }

  /** Asks `id` to hand over to `to`, or to anyone. */
  transfer(id: MemberId, to: MemberId | null = null): boolean {
    return this.act(id, (raft) => raft.transferLeadership(to));
  }

  /** Makes `id` lead; everyone hears of it and of what is committed. None of it is told. */
  elect(id: MemberId): void {
    this.campaign(id);
    if (this.raft(id).role !== "leader") throw new Error(`${id} was not elected`);
    this.run(HEARTBEAT_MS);
    this.takeTranscript();
  }

  propose(id: MemberId, command: string): void {
    this.#note(id, `proposes "${command}"`);
    const { kind } = this.act(id, (raft) => raft.propose(Buffer.from(command)));
    if (kind !== "proposed") this.#note(id, `refuses "${command}"`);
  }

  /** Asks the leader `id` to make these the members. */
  change(id: MemberId, voters: readonly MemberId[], learners: readonly MemberId[] = []): string {
    this.#note(id, `is asked for ${describeConfiguration({ voters, outgoing: [], learners })}`);
    const result = this.act(id, (raft) => raft.changeConfiguration({ voters, learners }));
    return result.kind === "proposed" ? "proposed" : result.reason;
  }

  /** Somebody new, who knows nobody. */
  join(id: MemberId, chance = 0.9): void {
    this.#add(id, { entries: [], hardState: { term: 0, vote: null, commit: 0 } }, chance);
  }

  read(id: MemberId, read: number): boolean {
    this.#note(id, `reads, ${read}`);
    return this.act(id, (raft) => raft.read(read));
  }

  /** What was said since the last call, as text; with `only`, what that member said, heard and did. */
  takeTranscript(only?: MemberId): string {
    const text = this.#lines
      .map(({ to, ...line }) => ({
        ...line,
        to: only === undefined || line.from === only ? to : to.filter((id) => id === only),
      }))
      .filter(({ from, to }) => only === undefined || from.split(" ")[0] === only || to.length > 0)
      .map(({ from, to, arrow, text }) =>
        arrow === "" ? `${from}${text}` : `${from} ${arrow} ${to.join(", ")}  ${text}`,
      )
      .join("\n");
    this.#lines = [];
    return text;
  }

  #add(id: MemberId, disk: Disk, chance: number): void {
    const timing = {
      heartbeatMs: HEARTBEAT_MS,
      electionMs: ELECTION_MS,
      electionMaxMs: ELECTION_MAX_MS,
    };
    const member = new Member({ id, disk, timing, random: () => chance });
    this.#members.set(id, member);
    member.start(this.#nowMs);
    this.#observe(member);
  }

  #member(id: MemberId): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`nobody is called ${id}`);
    return member;
  }

  #deliver(message: Message): void {
    const member = this.#members.get(message.to);
    if (member === undefined || !member.isUp) return;
    member.advance(this.#nowMs);
    member.raft.step(message);
    this.#collect(member);
  }

  #persist(member: Member): void {
    const write = member.writeOldest();
    if (write === undefined) return;
    this.#line(`${member.id} disk`, "", "", `  ${describeWrite(write)}`);
    member.advance(this.#nowMs);
    member.raft.persisted(write.sequence);
    this.#collect(member);
  }

  #collect(member: Member): void {
    const messages = member.collect(this.#nowMs);
    this.#observe(member);
    for (const { id, index } of member.reads) {
      this.#note(member.id, index === null ? `read ${id} is aborted` : `read ${id} is good at ${index}`);
    }
    if (member.snapshotFrom !== null) this.#note(member.id, `needs a snapshot from ${member.snapshotFrom}`);
    for (const message of messages) {
      const fate = this.fate(message);
      this.#line(message.from, message.to, ARROWS[fate], describeMessage(message));
      if (fate === "arrives" || fate === "arrives twice") this.#network.push(message);
      if (fate === "arrives twice") this.#network.push(message);
      if (fate === "waits") this.#held.push(message);
    }
  }

  /** Notes what has changed for the world. */
  #observe({ id, raft }: Member): void {
    const role = raft.role === "follower" ? `follower of ${raft.leader ?? "nobody"}` : raft.role;
    this.#noteChange(id, "role", `${role}, term ${raft.term}`);
    this.#noteChange(id, "commit", `commit ${raft.commitIndex}`);
    if (raft.configurationIndex > 1) {
      this.#noteChange(id, "members", `members ${describeConfiguration(raft.configuration)}`);
    }
  }

  #noteChange(id: MemberId, what: string, text: string): void {
    if (this.#said.get(`${id} ${what}`) === text) return;
    this.#said.set(`${id} ${what}`, text);
    this.#note(id, text);
  }

  #note(id: MemberId, text: string): void {
    this.#line(id, "", "", `: ${text}`);
  }

  /** The same words to several members are one line. */
  #line(from: string, to: string, arrow: string, text: string): void {
    const last = this.#lines.at(-1);
    if (arrow !== "" && last?.from === from && last.arrow === arrow && last.text === text) last.to.push(to);
    else this.#lines.push({ from, to: to === "" ? [] : [to], arrow, text });
  }
}

/** Of these voters, the first one leads, and everyone knows. */
export function ledByFirst(...ids: readonly [MemberId, ...MemberId[]]): Conversation {
  const conversation = new Conversation({ members: ids });
  conversation.elect(ids[0]);
  return conversation;
}

function fits(message: Message, { kind, from, to }: Selection): boolean {
  return (
    (kind === undefined || message.kind === kind) &&
    (from === undefined || message.from === from) &&
    (to === undefined || message.to === to)
  );
}

function disksOf(members: ConversationOptions["members"]): readonly (readonly [MemberId, Disk])[] {
  if (!isNames(members)) return Object.entries(members);
  return members.map((id) => [id, bootstrapDisk(votersOnly(members))] as const);
}

function isNames(members: ConversationOptions["members"]): members is readonly MemberId[] {
  return Array.isArray(members);
}
