import { membersOf } from "../../agent/raft/quorum.ts";
import type { Raft } from "../../agent/raft/raft.ts";
import { type Configuration, EMPTY_CONFIGURATION, type PlacedConfiguration } from "../../agent/raft/types.ts";
import type { CopyFault } from "../../agent/replica/snapshot-want.ts";
import type { LogPosition, StoreEntry } from "../../agent/store/types.ts";
import { KnownEntries, LogWatch } from "./log-watch.ts";
import type { Effect } from "./model-file.ts";
import { check } from "./violation.ts";

/** Where a cluster's first configuration stands (`foundCluster`). */
const FOUNDING_INDEX = 1;

/** What a member says of itself, as far as it is watched: its memory, which its disk follows. */
export type Standing = Pick<
  Raft,
  "id" | "role" | "term" | "configuration" | "configurationIndex" | "commitIndex" | "base" | "termAt"
>;

/**
 * Watches the cluster from above, with what no member can know, and fails at the first step that breaks a promise
 * (Raft figure 3: election safety, log matching, leader completeness, state machine safety).
 */
export class ClusterWatch {
  readonly #knownEntries = new KnownEntries();
  readonly #logs = new Map<string, LogWatch>();
  readonly #leaders = new Map<number, string>();
  /** Who got whose vote: by term, by voter. */
  readonly #votes = new Map<number, Map<string, string>>();
  /** The terms of what was ever committed, from index 0. It only grows. */
  readonly #committed: number[] = [0];
  /**
   * So far some leader has committed by counting copies, and what it counted by: what any member knows to be committed stands before it.
   */
  #counted: { readonly index: number; readonly by: Pick<Configuration, "voters" | "outgoing"> } = {
    index: 0,
    by: EMPTY_CONFIGURATION,
  };
  /** All that were committed. A log that begins with a snapshot does not hold the last one. */
  readonly #configurations: PlacedConfiguration[] = [];
  /** Members of old that none of the last configuration is. */
  readonly #left = new Set<string>();
  readonly #commits = new Map<string, number>();
  /** Voters that were asked for and are not in anybody's log yet. */
  readonly #wanted = new Set<readonly string[]>();
  /** As the last process of each has it. */
  readonly #members = new Map<string, Standing>();
  readonly #writtenAt = new Map<string, number>();

  logOf(memberId: string): LogWatch {
    const known = this.#logs.get(memberId);
    if (known !== undefined) return known;
    const isCommitted = (index: number) => this.#committed[index] !== undefined;
    const log = new LogWatch(memberId.slice(0, 8), this.#knownEntries, isCommitted);
    this.#logs.set(memberId, log);
    return log;
  }

  get elections(): number {
    return this.#leaders.size;
  }

  get commitIndex(): number {
    return this.#committed.length - 1;
  }

  /** Up to here some leader has committed by counting copies. */
  get countedIndex(): number {
    return this.#counted.index;
  }

  /** The last one that was committed. */
  get #configuration(): Configuration {
    return this.#configurations.at(-1)?.configuration ?? EMPTY_CONFIGURATION;
  }

  started(memberId: string, commit: number): void {
    this.#commits.set(memberId, commit);
    this.#members.delete(memberId);
  }

  /** A vote has left its voter. It can never be taken back: not by a crash either (Raft 5.2). */
  voted(voter: string, term: number, candidate: string): void {
    const votes = this.#votes.get(term) ?? new Map<string, string>();
    this.#votes.set(term, votes);
    const known = votes.get(voter) ?? candidate;
    check(known === candidate, () => `${voter} voted for ${known} and ${candidate} in term ${term}`);
    votes.set(voter, candidate);
  }

  /** After every step of a member. */
  observe(member: Standing, copyFault: CopyFault | null = null): void {
    const { id, role, commitIndex } = member;
    this.#members.set(id, member);
    this.#checkInForce(member, copyFault);
    if (role === "leader") this.#observeLeader(member);
    const before = this.#commits.get(id) ?? 0;
    if (commitIndex === before) return;
    check(commitIndex > before, () => `the commit index of ${id} fell from ${before} to ${commitIndex}`);
    check(
      commitIndex <= this.#counted.index,
      () => `${id} committed ${commitIndex}, which nobody has counted`,
    );
    this.#commits.set(id, commitIndex);
    for (let index = before + 1; index <= commitIndex; index += 1) this.#commit(member, index);
  }

  /** A member's store has applied an entry. */
  applied(memberId: string, entry: StoreEntry, { written }: Effect): void {
    const { index, term } = entry;
    check(
      this.#committed[index] === term,
      () => `${memberId} applied ${index}/${term}, which is not committed`,
    );
    check(
      this.logOf(memberId).durableTerm(index) === term,
      () => `${memberId} applied ${index}/${term} before its own log had it durably`,
    );
    for (const { value } of written) {
      const at = this.#writtenAt.get(value) ?? index;
      check(at === index, () => `the write of ${value} took effect twice: at ${at} and at ${index}`);
      this.#writtenAt.set(value, index);
    }
  }

  /**
   * A member gives its data up: of those by whom the last commit was counted, a majority of others must hold it. The last committed
   * configuration may be another one: a joint one is left by an entry that counts by the new set before it is committed itself.
   */
  givenUp(memberId: string): void {
    const { index: commitIndex, by } = this.#counted;
    const isHeldBy = (log: LogWatch | undefined) =>
      log !== undefined &&
      (log.baseIndex >= commitIndex || log.durableTerm(commitIndex) === this.#committed[commitIndex]);
    for (const set of [by.voters, by.outgoing]) {
      const holders = set.filter((voter) => voter !== memberId && isHeldBy(this.#logs.get(voter)));
      check(
        set.length === 0 || holders.length * 2 > set.length,
        () =>
          `${memberId} gives up its data, and ${holders.length} of ${set.length} others hold ${commitIndex}`,
      );
    }
  }

  /** A member's store was replaced by another's. */
  installed(memberId: string, { index, term }: LogPosition): void {
    check(
      this.#committed[index] === term,
      () => `${memberId} installed ${index}/${term}, which is not committed`,
    );
  }

  /** A leader is asked for these voters: it may propose them at any time, until what this returns is called. */
  wanted(voters: readonly string[]): () => void {
    const entry = [...voters];
    this.#wanted.add(entry);
    return () => this.#wanted.delete(entry);
  }

  /** True if every configuration that is or may come into force has a majority without the members of `lost`. */
  hasQuorumWithout(lost: ReadonlySet<string>): boolean {
    if (!this.#isFoundedWithout(lost)) return false;
    const written = [...this.#logs.values()].flatMap((log) => log.configurationsFrom(this.commitIndex));
    // A disk without room has not been given yet what its member goes by.
    const inForce = [...this.#members.values()].map(({ configuration }) => configuration);
    const wanted = [...this.#wanted].map((voters) => ({ voters, outgoing: [] }));
    return [this.#configuration, ...written, ...inForce, ...wanted].every(
      ({ voters, outgoing }) => isMajorityLeft(voters, lost) && isMajorityLeft(outgoing, lost),
    );
  }

  /** A client was told that its write has happened. */
  acknowledged(value: string): void {
    check(this.#writtenAt.has(value), () => `the write of ${value} was acknowledged and never happened`);
  }

  /** Until the founding entry is committed it may be on one disk only: without that nobody could ever campaign. */
  #isFoundedWithout(lost: ReadonlySet<string>): boolean {
    if (this.commitIndex >= FOUNDING_INDEX) return true;
    return [...this.#logs].some(
      ([memberId, log]) => !lost.has(memberId) && log.durableTerm(FOUNDING_INDEX) !== undefined,
    );
  }

  #observeLeader(leader: Standing): void {
    const { id, term, commitIndex } = leader;
    if (this.#leaders.get(term) !== id) this.#newLeader(leader);
    if (commitIndex <= this.#counted.index) return;
    // Counting copies commits only entries of the own term, and with them what stands before (Raft 5.4.2, figure 8).
    const found = leader.termAt(commitIndex);
    check(found === term, () => `${id} committed ${commitIndex}/${found} by counting in term ${term}`);
    this.#checkConfiguration(leader);
    this.#checkDurable(leader);
    this.#counted = { index: commitIndex, by: leader.configuration };
  }

  #newLeader(leader: Standing): void {
    const { id, term, base } = leader;
    const known = this.#leaders.get(term);
    check(known === undefined, () => `${id} and ${known} both lead term ${term}`);
    this.#leaders.set(term, id);
    this.#checkConfiguration(leader);
    this.#checkElected(leader);
    for (const [index, committedTerm] of this.#committed.entries()) {
      if (index < base.index || committedTerm >= term) continue;
      const found = leader.termAt(index);
      check(
        found === committedTerm,
        () => `${id} leads term ${term} with ${index}/${found} in place of ${index}/${committedTerm}`,
      );
    }
  }

  /**
   * What a member goes by stands in its log, also when that was cut off and has grown again (Raft 6); or it is the last one of what the
   * log has forgotten. One that has lost its copy of the data may not know it.
   */
  #checkInForce(member: Standing, copyFault: CopyFault | null): void {
    const { id, base, configurationIndex: index } = member;
    if (index <= base.index) {
      const last = this.#configurations.findLast((placed) => placed.index <= base.index);
      const isUnknown = index === 0 && copyFault !== null;
      check(
        isUnknown || index === (last?.index ?? 0),
        () =>
          `${id} goes by the configuration of ${index}, the last one of its snapshot is of ${last?.index}`,
      );
      return;
    }
    const log = this.logOf(id);
    const term = member.termAt(index);
    check(
      term !== undefined && (log.term(index) !== term || log.configurationAt(index) !== undefined),
      () => `${id} goes by a configuration of ${index}, where its log has none`,
    );
  }

  /** What a leader goes by is the last one in its log, committed or not (Raft 6). It may be about to be written. */
  #checkConfiguration(leader: Standing): void {
    const { id, configuration, configurationIndex: index } = leader;
    const log = this.logOf(id);
    const term = leader.termAt(index);
    // Where there is no room, the disk may hold one that its member's log has cut off since.
    const last = log.configurationIndex;
    const isCutOff = leader.termAt(last) !== log.term(last) && last > leader.base.index;
    check(
      index >= last || isCutOff,
      () => `${id} goes by the configuration of ${index}, its log has one at ${log.configurationIndex}`,
    );
    // A snapshot takes the place of what stood before.
    if (index <= log.baseIndex || (term !== undefined && log.term(index) !== term)) return;
    check(
      JSON.stringify(configuration) === JSON.stringify(log.configurationAt(index)),
      () => `${id} goes by a configuration that does not stand in its log at ${index}`,
    );
  }

  /** By a majority of each set of the configuration in force, every voter counted once. */
  #checkElected({ id, term, configuration }: Standing): void {
    const votes = this.#votes.get(term);
    for (const set of [configuration.voters, configuration.outgoing]) {
      const granted = set.filter((voter) => voter === id || votes?.get(voter) === id);
      check(
        set.length === 0 || granted.length * 2 > set.length,
        () => `${id} leads term ${term} with ${granted.length} votes of ${set.length}`,
      );
    }
  }

  #commit(member: Standing, index: number): void {
    const { id, base } = member;
    const known = this.#committed[index];
    if (index < base.index) {
      check(
        known !== undefined,
        () => `${id} has a snapshot of ${base.index}, and nobody committed ${index}`,
      );
      return;
    }
    const term = member.termAt(index);
    check(
      known === undefined || known === term,
      () => `${id} committed ${index}/${term}, others ${index}/${known}`,
    );
    if (known !== undefined) return;
    check(term !== undefined, () => `${id} committed ${index}, which it does not hold`);
    this.#committed[index] = term;
    const holder = [...this.#logs.values()].find((log) => log.durableTerm(index) === term);
    const configuration = holder?.configurationAt(index);
    if (configuration === undefined) return;
    this.#checkNewcomers(configuration);
    this.#configurations.push({ index, configuration });
  }

  /** Who has left never comes back: its log may be older than what it has vouched for (design 2). */
  #checkNewcomers(next: Configuration): void {
    const staying = membersOf(next);
    for (const id of staying)
      check(!this.#left.has(id), () => `${id} has left the cluster, and is a member again`);
    for (const id of membersOf(this.#configuration)) if (!staying.has(id)) this.#left.add(id);
  }

  /**
   * A majority of disks must hold what a leader commits; of a joint configuration one in each set. It changes the configuration by
   * another step than the one that commits: so what it goes by after that is what it has counted with.
   */
  #checkDurable({ id, term, commitIndex, configuration }: Standing): void {
    for (const set of [configuration.voters, configuration.outgoing]) {
      const holders = set.filter((voter) => this.#logs.get(voter)?.durableTerm(commitIndex) === term);
      check(
        set.length === 0 || holders.length * 2 > set.length,
        () => `${id} committed ${commitIndex}/${term}, which ${holders.length} of ${set.length} disks hold`,
      );
    }
  }
}

export function isMajorityLeft(voters: readonly string[], lost: ReadonlySet<string>): boolean {
  return voters.length === 0 || voters.filter((voter) => lost.has(voter)).length * 2 < voters.length;
}
