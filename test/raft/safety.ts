import type { Message } from "../../agent/raft/messages.ts";
import type { Configuration, Entry, MemberId } from "../../agent/raft/types.ts";
import type { Disk, Member } from "./member.ts";

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
  readonly #configuration: Configuration;
  readonly #disks: ReadonlyMap<MemberId, Disk>;
  /** What has ever been committed by anyone, from index 1. It may only grow. */
  readonly committed: Entry[] = [];
  readonly #leaders = new Map<number, MemberId>();
  readonly #votes = new Map<string, MemberId>();
  /** Every entry ever made by (index, term), with the term of the one before it. */
  readonly #entries = new Map<string, { readonly entry: Entry; readonly previousTerm: number }>();
  readonly #reads = new Map<number, number>();
  readonly #commits = new Map<MemberId, number>();
  readonly #applied = new Map<MemberId, number>();
  confirmedReads = 0;

  constructor(configuration: Configuration, disks: ReadonlyMap<MemberId, Disk>) {
    this.#configuration = configuration;
    this.#disks = disks;
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
  observe({ id, raft, writes, reads, disk }: Member): void {
    if (raft.role === "leader") this.#checkLeader(id, raft.term, (from, to) => raft.entries(from, to, 1e9));
    const write = writes.at(-1);
    if (write !== undefined) {
      this.#checkLogMatching(id, write.entries, disk, writes);
      const { commit } = write.hardState;
      check(commit <= disk.entries.length, () => `${id} writes commit ${commit}, which is not durable`);
    }
    this.#checkCommit(id, raft.commitIndex, (from, to) => raft.entries(from, to, 1e9));
    this.#apply(id, raft.applicableIndex, disk);
    for (const { id: read, index } of reads) this.#checkRead(id, read, index);
  }

  /** What a message says must be on the sender's disk already. */
  checkSent({ raft }: Member, message: Message): void {
    const { from, to, term, kind } = message;
    const { hardState, entries } = this.#diskOf(from);
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
      isTermOver || entries.length >= heldIndex,
      () => `${what}, with index ${heldIndex}, but only ${entries.length} are durable`,
    );
  }

  /** A disk forgets nothing that is committed. */
  checkDisk(id: MemberId): void {
    const { entries } = this.#diskOf(id);
    const count = Math.min(entries.length, this.committed.length);
    for (let at = 0; at < count; at++) {
      const entry = entries[at];
      const committed = this.committed[at];
      if (entry === committed || entry?.term === committed?.term) continue;
      // A leftover of an older term may stand where others have committed, until the leader repairs it.
      check(
        at >= this.appliedIndex(id),
        () => `the disk of ${id} lost entry ${at + 1}, which it has applied`,
      );
      return;
    }
  }

  #checkLeader(id: MemberId, term: number, entries: (from: number, to: number) => readonly Entry[]): void {
    const known = this.#leaders.get(term);
    check(known === undefined || known === id, () => `${id} and ${known} both lead term ${term}`);
    if (known !== undefined) return;
    this.#leaders.set(term, id);
    // Leader completeness. A leader of an old term may arrive late; it must hold what older terms committed.
    const log = entries(1, this.committed.length);
    for (const [at, committed] of this.committed.entries()) {
      if (committed.term >= term) break;
      check(log[at]?.term === committed.term, () => `${id} leads term ${term} without entry ${at + 1}`);
    }
  }

  #checkLogMatching(
    id: MemberId,
    entries: readonly Entry[],
    disk: Disk,
    writes: readonly { readonly entries: readonly Entry[] }[],
  ): void {
    for (const [at, entry] of entries.entries()) {
      const previous = at > 0 ? entries[at - 1] : previousEntry(entry.index, disk, writes);
      const previousTerm = previous?.term ?? 0;
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

  #checkCommit(id: MemberId, commit: number, entries: (from: number, to: number) => readonly Entry[]): void {
    const before = this.#commits.get(id) ?? 0;
    check(commit >= before, () => `the commit index of ${id} fell from ${before} to ${commit}`);
    if (commit === before) return;
    this.#commits.set(id, commit);
    for (const entry of entries(before + 1, commit)) {
      const known = this.committed[entry.index - 1];
      if (known === undefined) {
        this.#checkDurable(id, entry);
        this.committed.push(entry);
      } else check(known === entry, () => `${id} committed another entry ${entry.index} than others`);
    }
  }

  /** The first to commit needs a majority of disks; for a joint configuration one in each set. */
  #checkDurable(id: MemberId, { index, term }: Entry): void {
    const { voters, outgoing } = this.#configuration;
    for (const set of [voters, outgoing]) {
      const holders = set.filter((voter) => this.#diskOf(voter).entries[index - 1]?.term === term);
      check(
        set.length === 0 || holders.length * 2 > set.length,
        () => `${id} committed ${index}/${term}, which only ${holders.length} of ${set.length} disks hold`,
      );
    }
  }

  #apply(id: MemberId, applicable: number, disk: Disk): void {
    const applied = this.appliedIndex(id);
    if (applicable <= applied) return;
    check(
      disk.entries.length >= applicable,
      () => `${id} applied ${applicable}, which its disk does not hold`,
    );
    for (let index = applied + 1; index <= applicable; index++) {
      const isSame = disk.entries[index - 1] === this.committed[index - 1];
      check(isSame, () => `${id} applied another entry ${index} than was committed`);
    }
    this.#applied.set(id, applicable);
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

/** What stands before `index` when the writes that are under way are done. */
function previousEntry(
  index: number,
  disk: Disk,
  writes: readonly { readonly entries: readonly Entry[] }[],
): Entry | undefined {
  for (const { entries } of writes.slice(0, -1).reverse()) {
    const first = entries[0]?.index ?? Number.POSITIVE_INFINITY;
    const found = entries[index - 1 - first];
    if (index > first) return found;
  }
  return disk.entries[index - 2];
}

function check(condition: boolean, violation: () => string): void {
  if (!condition) throw new SafetyError(violation());
}
