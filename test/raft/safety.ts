import type { Message } from "../../agent/raft/messages.ts";
import type { LogWrite } from "../../agent/raft/outbox.ts";
import type { Raft } from "../../agent/raft/raft.ts";
import {
  type Configuration,
  EMPTY_CONFIGURATION,
  type Entry,
  type MemberId,
} from "../../agent/raft/types.ts";
import { baseOf, type Disk, entryAt, lastIndexOf, storeOf, termAt } from "./disk.ts";
import type { Member } from "./member.ts";

/** Says what rule was broken, and by whom. */
export class SafetyError extends Error {
  override readonly name = "SafetyError";
}

/**
 * Watches a cluster from above, with what no member can know, and fails at the first step that breaks a rule
 * (Raft figure 3, and what the design adds: nothing leaves before it is durable, reads are linearizable).
 *
 * It does not trust the code under test: it counts majorities itself, on the disks.
 */
export class Safety {
  readonly #disks = new Map<MemberId, Disk>();
  /** What has ever been committed by anyone, from index 1. It may only grow. */
  readonly committed: Entry[] = [];
  readonly #leaders = new Map<number, MemberId>();
  readonly #votes = new Map<string, MemberId>();
  /** Every entry ever made by (index, term), with the term of the one before it. */
  readonly #entries = new Map<string, { readonly entry: Entry; readonly previousTerm: number | undefined }>();
  readonly #reads = new Map<number, number>();
  readonly #commits = new Map<MemberId, number>();
  readonly #applied = new Map<MemberId, number>();
  confirmedReads = 0;

  join({ id, disk }: Member): void {
    this.#disks.set(id, disk);
  }

  /** Of the last committed entry that holds one. */
  get configuration(): Configuration {
    return configurationIn(this.committed) ?? EMPTY_CONFIGURATION;
  }

  get elections(): number {
    return this.#leaders.size;
  }

  appliedIndex(id: MemberId): number {
    return this.#applied.get(id) ?? 0;
  }

  readAsked(read: number): void {
    this.#reads.set(read, this.committed.length);
  }

  crashed(id: MemberId): void {
    this.#commits.delete(id);
  }

  /** After every input: nothing that this member believes contradicts what the others believe. */
  observe(member: Member): void {
    const { id, raft, writes, reads, disk } = member;
    this.#checkBase(id, raft);
    if (raft.role === "leader") this.#checkLeader(id, raft);
    const write = writes.at(-1);
    if (write !== undefined) {
      this.#checkLogMatching(id, write.entries, disk, writes);
      const { commit } = write.hardState;
      const durable = Math.max(lastIndexOf(disk), storeOf(disk).index);
      check(commit <= durable, () => `${id} writes commit ${commit}, which is not durable`);
    }
    this.observeCommit(member);
    this.#checkConfiguration(member);
    this.#checkApplied(member);
    for (const { id: read, index } of reads) this.#checkRead(id, read, index);
  }

  /** What a message says must be on the sender's disk already. */
  checkSent({ raft }: Member, message: Message): void {
    const { from, to, term, kind } = message;
    const disk = this.#diskOf(from);
    const { hardState } = disk;
    const what = `${from} sent ${kind} ${term} to ${to}`;
    if (kind === "pre-vote-request") return;
    if (kind === "pre-vote-response" && message.granted) return;
    check(hardState.term >= term, () => `${what}, but only term ${hardState.term} is durable`);
    if (kind === "vote-response" && message.granted) this.#checkVote(from, term, to);
    if (kind === "vote-request") this.#checkVote(from, term, from);
    // A request that waited for the disk may leave after its sender has given up, and cut its log for the leader that
    // won: harmless, as its answers are for nobody.
    const hasConceded = kind === "vote-request" && raft.role !== "candidate";
    const isTermOver = hardState.term > term || hasConceded;
    const heldIndex =
      kind === "append-response" && message.hint === null
        ? message.index
        : kind === "vote-request"
          ? message.lastIndex
          : 0;
    check(
      isTermOver || lastIndexOf(disk) >= heldIndex,
      () => `${what}, with index ${heldIndex}, but only ${lastIndexOf(disk)} are durable`,
    );
  }

  /** A disk forgets nothing that is committed. */
  checkDisk(id: MemberId): void {
    const disk = this.#diskOf(id);
    const last = Math.min(lastIndexOf(disk), this.committed.length);
    for (let index = Math.max(1, baseOf(disk).index); index <= last; index++) {
      if (termAt(disk, index) === this.committed[index - 1]?.term) continue;
      // A leftover of an older term may stand where others have committed, until the leader or a snapshot repairs it.
      const applied = Math.max(baseOf(disk).index, this.appliedIndex(id));
      const isInstalled = storeOf(disk).index >= applied;
      check(
        index > applied || isInstalled,
        () => `the disk of ${id} lost entry ${index}, which it has applied`,
      );
      return;
    }
  }

  /** What a log has forgotten was committed. */
  #checkBase(id: MemberId, { base: { index, term } }: Raft): void {
    const committed = index === 0 ? 0 : this.committed[index - 1]?.term;
    check(
      committed === term,
      () => `the log of ${id} begins behind ${index}/${term}, which is not committed`,
    );
  }

  /** A configuration is in force from where it stands in the log, and rolled back with it. */
  #checkConfiguration({ id, raft, isIncomplete }: Member): void {
    if (isIncomplete) return;
    const expected = this.#configurationInForce(raft);
    check(
      raft.configuration === expected,
      () => `${id} goes by ${JSON.stringify(raft.configuration)}, not by ${JSON.stringify(expected)}`,
    );
  }

  /** By the log itself: what has been forgotten is known to be committed. */
  #configurationInForce(raft: Raft): Configuration {
    return (
      configurationIn(raft.entries(raft.firstIndex, raft.lastIndex, 1e9)) ??
      configurationIn(this.committed.slice(0, raft.base.index)) ??
      EMPTY_CONFIGURATION
    );
  }

  #checkLeader(id: MemberId, raft: Raft): void {
    const { term } = raft;
    const known = this.#leaders.get(term);
    check(known === undefined || known === id, () => `${id} and ${known} both lead term ${term}`);
    if (known !== undefined) return;
    this.#leaders.set(term, id);
    // Leader completeness. A leader of an old term may arrive late; it must hold what older terms committed.
    for (const committed of this.committed.slice(raft.base.index)) {
      if (committed.term >= term) break;
      const { index } = committed;
      check(raft.termAt(index) === committed.term, () => `${id} leads term ${term} without entry ${index}`);
    }
  }

  #checkLogMatching(id: MemberId, entries: readonly Entry[], disk: Disk, writes: readonly LogWrite[]): void {
    for (const [at, entry] of entries.entries()) {
      const previousTerm = entries[at - 1]?.term ?? previousTermOf(entry.index, disk, writes);
      const key = `${entry.index}/${entry.term}`;
      const known = this.#entries.get(key);
      if (known === undefined) {
        this.#entries.set(key, { entry, previousTerm });
        continue;
      }
      check(known.entry === entry, () => `${id} has another entry ${key} than others`);
      check(known.previousTerm === previousTerm, () => `${id} has another entry before ${key} than others`);
    }
  }

  /** After every input, even if its effects are not taken yet: a configuration may come behind what is committed. */
  observeCommit({ id, raft }: Member): void {
    const commit = raft.commitIndex;
    const before = this.#commits.get(id) ?? 0;
    check(commit >= before, () => `the commit index of ${id} fell from ${before} to ${commit}`);
    if (commit === before) return;
    this.#commits.set(id, commit);
    for (const entry of raft.entries(Math.max(before + 1, raft.firstIndex), commit, 1e9)) {
      const known = this.committed[entry.index - 1];
      if (known === undefined) {
        this.#checkDurable(id, entry, this.#configurationInForce(raft));
        this.committed.push(entry);
      } else check(known === entry, () => `${id} committed another entry ${entry.index} than others`);
    }
  }

  /** The first to commit needs a majority of disks; for a joint configuration one in each set. */
  #checkDurable(id: MemberId, { index, term }: Entry, { voters, outgoing }: Configuration): void {
    for (const set of [voters, outgoing]) {
      const holders = set.filter((voter) => entryAt(this.#diskOf(voter), index)?.term === term);
      check(
        set.length === 0 || holders.length * 2 > set.length,
        () => `${id} committed ${index}/${term}, which only ${holders.length} of ${set.length} disks hold`,
      );
    }
  }

  #checkApplied({ id, raft, disk, store }: Member): void {
    const { applicableIndex } = raft;
    check(
      lastIndexOf(disk) >= applicableIndex || storeOf(disk).index >= applicableIndex,
      () => `${id} may apply ${applicableIndex}, which its disk does not hold`,
    );
    for (let index = Math.max(this.appliedIndex(id), baseOf(disk).index) + 1; index <= store.index; index++) {
      const isSame = storeOf(disk).index >= index || entryAt(disk, index) === this.committed[index - 1];
      check(isSame, () => `${id} applied another entry ${index} than was committed`);
    }
    const { index, term, configuration } = store;
    check(
      index === 0 || this.committed[index - 1]?.term === term,
      () => `${id} has applied ${index}/${term}`,
    );
    const expected = configurationIn(this.committed.slice(0, index)) ?? EMPTY_CONFIGURATION;
    check(configuration.configuration === expected, () => `${id} holds another configuration at ${index}`);
    this.#applied.set(id, Math.max(index, this.appliedIndex(id)));
  }

  #checkVote(voter: MemberId, term: number, candidate: MemberId): void {
    const { hardState } = this.#diskOf(voter);
    check(
      hardState.term > term || hardState.vote === candidate,
      () => `${voter} sent its vote for ${candidate} in term ${term} before it was durable`,
    );
    const key = `${voter} in ${term}`;
    const known = this.#votes.get(key);
    check(known === undefined || known === candidate, () => `${key} voted for ${known} and for ${candidate}`);
    this.#votes.set(key, candidate);
  }

  #checkRead(id: MemberId, read: number, index: number | null): void {
    const floor = this.#reads.get(read);
    check(floor !== undefined, () => `${id} answered read ${read} twice, or was never asked`);
    this.#reads.delete(read);
    if (index === null || floor === undefined) return;
    check(index >= floor, () => `${id} read at ${index}, but ${floor} was committed when it was asked`);
    this.confirmedReads++;
  }

  #diskOf(id: MemberId): Disk {
    const disk = this.#disks.get(id);
    if (disk === undefined) throw new SafetyError(`nobody is called ${id}`);
    return disk;
  }
}

/** The term of what stands before `index` when the writes that are under way are done. */
function previousTermOf(index: number, disk: Disk, writes: readonly LogWrite[]): number | undefined {
  for (const [at, { entries, restored }] of [...writes.entries()].reverse()) {
    const first = entries[0]?.index ?? Number.POSITIVE_INFINITY;
    const found = at < writes.length - 1 && index > first ? entries[index - 1 - first] : undefined;
    if (found !== undefined) return found.term;
    if (restored?.index === index - 1) return restored.term;
  }
  return termAt(disk, index - 1);
}

function configurationIn(entries: readonly Entry[]): Configuration | undefined {
  const last = entries.findLast((entry) => entry.kind === "configuration");
  return last?.kind === "configuration" ? last.configuration : undefined;
}

function check(condition: boolean, violation: () => string): void {
  if (!condition) throw new SafetyError(violation());
}
