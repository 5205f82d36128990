import type { Mutation } from "./mutation.ts";

/** Bugs of a consensus of one's own. */
export const RAFT_MUTATIONS: readonly Mutation[] = [
  {
    name: "count a duplicated vote twice",
    file: "raft/campaign.ts",
    find: "if (this.#answers.has(member)) return; this.#answers.set(member, granted);",
    replace: `
      const voters = [...votersOf(this.#core.configuration)];
      const other = this.#answers.has(member) && voters.find((voter) => !this.#answers.has(voter));
      this.#answers.set(other || member, granted);
    `,
    seeds: 250,
  },
  {
    name: "commit an old-term entry by counting",
    file: "raft/leader.ts",
    find: "if (index <= commit || log.term(index) !== term) return;",
    replace: "if (index <= commit) return;",
    seeds: 800,
  },
  {
    name: "skip the vote's sync",
    file: "raft/answers.ts",
    find: 'core.outbox.sendAfterHardState({ kind: "vote-response",',
    replace: 'core.outbox.send({ kind: "vote-response",',
    seeds: 1000,
  },
  {
    name: "answer a read without the round",
    file: "raft/leader.ts",
    find: "this.#reads.confirmed(this.#peers.quorumReadContext(this.#reads.context));",
    replace: "this.#reads.confirmed(this.#reads.context);",
    seeds: 150,
  },
  {
    name: "grant a vote to a log that is behind",
    file: "raft/answers.ts",
    find: "const isComplete = core.log.isCoveredBy(request.lastTerm, request.lastIndex);",
    replace: "const isComplete = true;",
    seeds: 50,
  },
  {
    name: "take entries without looking at the one before",
    file: "raft/follower.ts",
    find: "if (core.log.term(previousIndex) !== previousTerm) {",
    replace: "if (core.log.term(previousIndex) === undefined) {",
    seeds: 100,
  },
  {
    name: "an overtaken request cuts the log",
    file: "raft/follower.ts",
    find: "return start === -1 ? [] : entries.slice(start);",
    replace: "return entries;",
    seeds: 30,
  },
  {
    name: "the leader counts itself before its own sync",
    file: "raft/raft.ts",
    find: "this.#roles.current.flush(); isSettled = true;",
    replace:
      "this.#roles.current.flush(); isSettled = true; this.#roles.leader?.persisted(this.#core.log.lastIndex);",
    seeds: 30,
  },
  {
    name: "apply before the own log is durable",
    file: "raft/raft.ts",
    find: "return this.#core.applicable;",
    replace: "return this.#core.commit;",
    seeds: 40,
  },
  {
    name: "forget the vote in a crash",
    file: "raft/core.ts",
    find: "this.#vote = options.hardState.vote;",
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
    stops: true,
    file: "raft/progress.ts",
    find: "this.#isProbeOut = false; return true; } /** Contexts",
    replace: "return false; } /** Contexts",
    seeds: 50,
  },
  {
    name: "forget the rollback of a configuration",
    file: "raft/configuration-history.ts",
    find: "this.#later = this.#later.filter(({ index }) => index < from);",
    replace: ";",
    seeds: 150,
  },
  {
    name: "judge a log by its length alone",
    file: "raft/entry-log.ts",
    find: "return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);",
    replace: "return lastIndex >= this.lastIndex;",
    seeds: 1500,
  },
  {
    name: "ask for votes before the own one is durable",
    file: "raft/campaign.ts",
    find: "core.outbox.sendAfterHardState(to === core.id",
    replace: "core.outbox.send(to === core.id",
    seeds: 1000,
  },
  {
    name: "count learners as voters",
    file: "raft/quorum.ts",
    find: ": [configuration.voters];",
    replace: ": [[...configuration.voters, ...configuration.learners]];",
    seeds: 50,
  },
  {
    name: "the outgoing voters of a joint configuration decide nothing",
    file: "raft/quorum.ts",
    find: "? [configuration.voters, configuration.outgoing]",
    replace: "? [configuration.voters]",
    seeds: 50,
  },
  {
    name: "leave the joint configuration before it is committed",
    file: "raft/leader.ts",
    find: "if (commit < configurationIndex) return; if (isJoint(configuration)) {",
    replace:
      "if (commit < configurationIndex && !isJoint(configuration)) return; if (isJoint(configuration)) {",
    seeds: 50,
  },
  {
    name: "a snapshot leaves the old configuration in force",
    file: "raft/core.ts",
    find: "this.#configurations.replace(configuration);",
    replace: ";",
    seeds: 50,
  },
  {
    name: "a heartbeat commits what its follower may not hold",
    file: "raft/replicator.ts",
    find: "commit: Math.min(commit, match),",
    replace: "commit,",
    seeds: 30,
  },
  {
    name: "know a committed entry by its index alone",
    file: "raft/core.ts",
    find: "if (this.log.term(position.index) === position.term) {",
    replace: "if (position.index <= this.log.lastIndex) {",
    seeds: 300,
  },
  {
    name: "what replaces other entries counts as durable at once",
    file: "raft/durability.ts",
    find: "this.#persisted = Math.min(this.#persisted, from - 1);",
    replace: ";",
    seeds: 80,
  },
  {
    name: "any heartbeat's answer confirms the newest read round",
    file: "raft/leader.ts",
    find: "progress.confirmedRead(readContext);",
    replace: "progress.confirmedRead(this.#reads.context);",
    seeds: 1000,
  },
];
