import type { Mutation } from "./mutation.ts";

/** Bugs between consensus and those who use it: answers, reads, sessions, snapshots. */
export const REPLICA_MUTATIONS: readonly Mutation[] = [
  {
    name: "read before what was asked for is applied",
    file: "replica/index-reads.ts",
    find: "() => appliedIndex() >= index",
    replace: "() => true",
    seeds: 50,
  },
  {
    name: "send a write again whose answer was lost",
    file: "replica/leader-access.ts",
    find: 'isLost && repetition !== "forbidden"',
    replace: "isLost",
    seeds: 30,
  },
  {
    name: "do what another leader was asked to do",
    file: "replica/leader-access.ts",
    find: "Deadline.at(clock, deadlineMs), term)",
    replace: "Deadline.at(clock, deadlineMs))",
    seeds: 400,
  },
  {
    name: "answer a proposal by its index alone",
    file: "replica/proposals.ts",
    find: "function keyOf(index, term) { return",
    replace: "function keyOf(index, term) { return String(index); return",
    seeds: 50,
  },
  {
    name: "the log's clock follows the wall clock back",
    file: "replica/log-time.ts",
    find: "this.#lastMs = Math.max(this.#lastMs, this.#clock.wallMs());",
    replace: "this.#lastMs = this.#clock.wallMs();",
    seeds: 60,
  },
  {
    name: "drop entries that are not durable in the database",
    file: "replica/log-retention.ts",
    find: "Math.min(durable.index, now.applicableIndex)",
    replace: "now.applicableIndex",
    seeds: 500,
  },
  {
    name: "refuse what was proposed when leadership is lost",
    file: "replica/proposer.ts",
    find: "this.#proposals.applied(index, term, result);",
    replace: `
      if (this.#options.consensus.raft.role !== "leader") this.#proposals.fail(notLeader());
      this.#proposals.applied(index, term, result);
    `,
    seeds: 300,
  },
  {
    name: "forget the session of a write that is sent to the leader",
    file: "replica/command-draft.ts",
    find: "return encodeCommand(completeDraft(draft, 0, NO_SEED));",
    replace:
      'return encodeCommand(completeDraft(draft.kind === "sql" ? { ...draft, session: null } : draft, 0, NO_SEED));',
    seeds: 30,
  },
  {
    name: "a crash finds a snapshot installed, and the log is left as it was",
    file: "replica/align-log.ts",
    find: "if (installed === null) return recovered;",
    replace: "return recovered;",
    seeds: 50,
  },
  {
    name: "go on with a log that ends before its databases",
    file: "replica/one-history.ts",
    find: "return found?.term === newest.term;",
    replace: "return true;",
    seeds: 500,
  },
  {
    name: "give damaged data up without asking",
    file: "membership/open-storage.ts",
    find: "await untilExpendable({ bus, nodeId, clusterId, clock, signal, onWait }, memberId);",
    replace: ";",
    seeds: 200,
  },
  {
    name: "propose while another write is tried out",
    file: "replica/write-gate.ts",
    find: "if (this.#alone === null) enter();",
    replace: "if (this.#alone !== undefined) enter();",
    seeds: 150,
  },
  {
    name: "try a write out before all that stands before it is applied",
    file: "replica/write-gate.ts",
    find: "await this.#options.settled();",
    replace: ";",
    seeds: 60,
  },
  {
    name: "a read is never settled",
    stops: true,
    file: "replica/cluster-sql.ts",
    find: "return this.#store.query(statements, { timeoutMs: deadline.remainingMs });",
    replace: "return new Promise(() => undefined);",
    seeds: 10,
  },
  {
    name: "open no session",
    stops: true,
    file: "replica/cluster-sql.ts",
    find: 'await this.#leader.propose({ kind: "open-session" }, deadline);',
    replace: 'await this.#leader.propose({ kind: "open-session" }, new Deadline(this.#clock, 0));',
    seeds: 5,
  },
  {
    name: "answer no strong read",
    stops: true,
    file: "replica/leader-access.ts",
    find: 'await this.#propose(BARRIER, deadline, "harmless");',
    replace: "await deadline.race(new Promise(() => undefined), readTimeout);",
    seeds: 5,
  },
  {
    name: "change no members",
    stops: true,
    file: "replica/member-changes.ts",
    find: "if (!isLeader()) throw notLeader(); const applied",
    replace: "if (isLeader()) throw notLeader(); const applied",
    seeds: 5,
  },
];
