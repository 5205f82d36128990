import type { Mutation } from "./mutation.ts";

/** Bugs that a Raft of one's own may well have. The simulator must find each of them. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: "count a duplicated vote twice",
    file: "raft/campaign.ts",
    find: "if (this.#answers.has(member)) return; this.#answers.set(member, granted);",
    replace: `
      const voters = [...votersOf(this.#core.configuration)];
      const other = this.#answers.has(member) && voters.find((voter) => !this.#answers.has(voter));
      this.#answers.set(other || member, granted);
    `,
    seeds: 200,
  },
  {
    name: "commit an old-term entry by counting",
    file: "raft/leader.ts",
    find: "if (index <= commit || log.term(index) !== term) return;",
    replace: "if (index <= commit) return;",
    seeds: 500,
  },
  {
    name: "skip the vote's sync",
    file: "raft/answers.ts",
    find: 'core.outbox.sendAfterHardState({ kind: "vote-response",',
    replace: 'core.outbox.send({ kind: "vote-response",',
    seeds: 500,
  },
  {
    name: "answer a read without the round",
    file: "raft/leader.ts",
    find: "this.#reads.confirmed(this.#peers.quorumReadContext(this.#reads.context));",
    replace: "this.#reads.confirmed(this.#reads.context);",
    seeds: 300,
  },
  {
    name: "truncate the log at the first bad CRC",
    file: "log/log-recovery.ts",
    find: "if (!this.#isNext(header.sequence) || isElsewhere) {",
    replace: "if (false) {",
    seeds: 500,
  },
  {
    name: "acknowledge before the sync",
    file: "log/log-writer.ts",
    find: "await segment.file.sync();",
    replace: "",
    seeds: 100,
  },
  {
    name: "grant a vote to a log that is behind",
    file: "raft/answers.ts",
    find: "const isComplete = core.log.isCoveredBy(request.lastTerm, request.lastIndex);",
    replace: "const isComplete = true;",
    seeds: 200,
  },
  {
    name: "take entries without looking at the one before",
    file: "raft/follower.ts",
    find: "if (core.log.term(previousIndex) !== previousTerm) {",
    replace: "if (core.log.term(previousIndex) === undefined) {",
    seeds: 300,
  },
  {
    name: "commit behind what a request vouches for",
    file: "raft/follower.ts",
    find: "core.commitTo(Math.min(request.commit, agreedIndex));",
    replace: "core.commitTo(Math.min(request.commit, core.log.lastIndex));",
    seeds: 300,
  },
  {
    name: "an overtaken request cuts the log",
    file: "raft/follower.ts",
    find: "return start === -1 ? [] : entries.slice(start);",
    replace: "return entries;",
    seeds: 100,
  },
  {
    name: "the leader counts itself before its own sync",
    file: "raft/raft.ts",
    find: "this.#roles.current.flush(); isSettled = true;",
    replace:
      "this.#roles.current.flush(); isSettled = true; this.#roles.leader?.persisted(this.#core.log.lastIndex);",
    seeds: 200,
  },
  {
    name: "apply before the own log is durable",
    file: "raft/raft.ts",
    find: "return this.#core.applicable;",
    replace: "return this.#core.commit;",
    seeds: 300,
  },
  {
    name: "forget the term in a crash",
    file: "raft/core.ts",
    find: "this.#vote = null; this.outbox.hardStateChanged();",
    replace: "this.#vote = null;",
    seeds: 300,
  },
  {
    name: "serve reads before an entry of the own term is committed",
    file: "raft/leader.ts",
    find: "this.#core.commit >= this.#firstIndex && this.#reads",
    replace: "this.#reads",
    seeds: 500,
  },
  {
    name: "never send a lost append again",
    file: "raft/progress.ts",
    find: "this.#isProbeOut = false; return true; } /** Contexts",
    replace: "return false; } /** Contexts",
    seeds: 100,
  },
  {
    name: "trust the last batch that is found after a crash",
    file: "log/log-mending.ts",
    find: "await file.write(tail.offset, tail.image.subarray(tail.offset, tail.end)); await file.sync();",
    replace: "",
    seeds: 1000,
  },
  {
    name: "leave the remains of a torn batch",
    file: "log/log-mending.ts",
    find: "await file.write(from, Buffer.alloc(bytes));",
    replace: "",
    seeds: 500,
  },
  {
    name: "take a new segment before its name is durable",
    file: "log/segment-pool.ts",
    find: "await this.#directory.sync(); this.#nextNumber",
    replace: "this.#nextNumber",
    seeds: 300,
  },
  {
    name: "read before what was asked for is applied",
    file: "replica/replica.ts",
    find: "() => this.#applier.appliedIndex >= index",
    replace: "() => true",
    seeds: 100,
  },
  {
    name: "send a write again whose answer was lost",
    file: "replica/leader-access.ts",
    find: 'isLost && repetition !== "forbidden"',
    replace: "isLost",
    seeds: 300,
  },
  {
    name: "answer a proposal by its index alone",
    file: "replica/proposals.ts",
    find: "function keyOf(index, term) { return",
    replace: "function keyOf(index, term) { return String(index); return",
    seeds: 300,
  },
  {
    name: "the log's clock follows the wall clock back",
    file: "replica/log-time.ts",
    find: "this.#lastMs = Math.max(this.#lastMs, this.#clock.wallMs());",
    replace: "this.#lastMs = this.#clock.wallMs();",
    seeds: 100,
  },
  {
    name: "forget the rollback of a configuration",
    file: "raft/configuration-history.ts",
    find: "this.#later = this.#later.filter(({ index }) => index < from);",
    replace: "",
    seeds: 500,
  },
  {
    name: "repeat a write without a session",
    file: "replica/leader-access.ts",
    find: 'return draft.session === null ? "forbidden" : "guarded";',
    replace: 'return "guarded";',
    seeds: 300,
  },
  {
    name: "drop entries that are not durable in the database",
    file: "replica/log-retention.ts",
    find: "Math.min(durable.index, now.applicableIndex)",
    replace: "now.applicableIndex",
    seeds: 300,
  },
];

export function findMutation(name: string): Mutation {
  const found = MUTATIONS.find((mutation) => mutation.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `There is no mutation "${name}". There are: ${MUTATIONS.map((each) => each.name).join("; ")}`,
  );
}
