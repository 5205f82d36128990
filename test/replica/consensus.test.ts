import { type Test, t } from "tap";
import { DurableLog } from "../../agent/log/durable-log.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { NO_CONFIGURATION } from "../../agent/raft/types.ts";
import { Consensus } from "../../agent/replica/consensus.ts";
import { foundCluster } from "../../agent/replica/found-cluster.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { chanceFrom } from "../raft/chance.ts";
import { MemoryNetwork } from "./memory-network.ts";

const TIMING = { heartbeatMs: 150, electionMs: 900, electionMaxMs: 900 };
const NODES = ["a", "b", "c"].map((letter) => letter.repeat(32));

/** Three members on disks and a network in memory. Time passes only in `run`. */
class Trio {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly members: Consensus[] = [];
  readonly failures: unknown[] = [];

  /** The first node founds the cluster; the others learn of it through the log. */
  async start(clusterIds: readonly string[] = ["one", "one", "one"]): Promise<void> {
    const memberIds = NODES.map((nodeId, nth) => memberIdOf(nodeId, `0000000${nth}`));
    for (const [nth, memberId] of memberIds.entries()) {
      const logger = { log: () => undefined };
      const { log, recovered } = await DurableLog.open({ directory: new MemoryDirectory(), logger });
      const isFounder = nth === 0;
      this.members.push(
        new Consensus({
          clusterId: clusterIds[nth] ?? "one",
          memberId,
          timing: TIMING,
          recovered: isFounder ? await foundCluster(log, memberIds) : recovered,
          configuration: NO_CONFIGURATION,
          isFounder,
          log,
          transport: this.network.transportOf(NODES[nth] ?? ""),
          clock: this.clock,
          random: { float: chanceFrom(nth).float, bytes: (length) => new Uint8Array(length) },
          logger,
          onProgress: () => undefined,
          onSnapshotNeeded: () => undefined,
          onRestored: () => undefined,
          onRead: () => undefined,
          onFailed: (error) => this.failures.push(error),
        }),
      );
    }
  }

  /** Lets `ms` pass, millisecond by millisecond, with everything that this brings. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed++) {
      this.clock.advance(1);
      // Appends to the log in memory end with promises only.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  roles(): readonly string[] {
    return this.members.map(({ raft }) => raft.role);
  }

  terms(): readonly number[] {
    return this.members.map(({ raft }) => raft.term);
  }
}

/** A test on a fresh trio, in which no invariant may break. */
function testTrio(
  name: string,
  run: (t: Test, trio: Trio) => Promise<void>,
  clusterIds?: readonly string[],
): void {
  t.test(name, async (t) => {
    const trio = new Trio();
    await trio.start(clusterIds);
    await run(t, trio);
    t.strictSame(trio.failures, [], "no invariant broke");
    for (const member of trio.members) member.stop();
  });
}

testTrio("a founder leads at once, and its configuration makes the others voters", async (t, trio) => {
  await trio.run(60);
  t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
  await trio.run(200);
  for (const { raft } of trio.members) {
    t.ok(raft.isVoter);
    t.equal(raft.commitIndex, 2, "the configuration and the first entry of the term");
  }
});

testTrio(
  "members of another cluster are not heard, though they name the same node",
  async (t, trio) => {
    await trio.run(3_000);
    t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
    const [, other] = trio.members;
    t.equal(other?.raft.term, 0, "the node of cluster two gave no vote and took no entry");
    t.equal(other?.raft.lastIndex, 0);
  },
  ["one", "two", "one"],
);

testTrio("nodeLost() of the leader brings a new one long before an election timeout", async (t, trio) => {
  await trio.run(300);
  trio.members[0]?.stop();
  for (const member of trio.members.slice(1)) member.nodeLost(NODES[0] ?? "");
  await trio.run(60);
  t.ok(trio.roles().slice(1).includes("leader"), `${trio.roles()}`);
});

testTrio("nodeLost() that was wrong deposes nobody", async (t, trio) => {
  await trio.run(300);
  const terms = trio.terms();
  trio.members[1]?.nodeLost(NODES[0] ?? "");
  await trio.run(2_000);
  t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
  t.strictSame(trio.terms(), terms);
});

testTrio("a stall of all is not taken for silence", async (t, trio) => {
  await trio.run(300);
  const terms = trio.terms();
  // As after SIGSTOP: much time has passed, and every timer is late at once.
  for (let stall = 0; stall < 10; stall++) {
    trio.clock.jump(10_000);
    await trio.run(300);
  }
  t.strictSame(trio.terms(), terms);
  t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
});

testTrio("a leader that hears nobody steps down, and leads or follows again once healed", async (t, trio) => {
  await trio.run(300);
  for (const other of NODES.slice(1)) {
    trio.network.cut(NODES[0] ?? "", other);
    trio.network.cut(other, NODES[0] ?? "");
  }
  await trio.run(3_000);
  t.not(trio.members[0]?.raft.role, "leader");
  t.ok(trio.roles().slice(1).includes("leader"));
  trio.network.heal();
  await trio.run(2_000);
  t.equal(trio.roles().filter((role) => role === "leader").length, 1);
  t.equal(new Set(trio.terms()).size, 1);
});

testTrio("a burst of proposals is one append and one sync", async (t, trio) => {
  await trio.run(300);
  const [leader] = trio.members;
  const before = trio.network.delivered.get("raft/one") ?? 0;
  for (let nth = 0; nth < 100; nth++) leader?.propose(new Uint8Array(10));
  await trio.run(10);
  for (const { raft } of trio.members) t.equal(raft.lastIndex, 102);
  const datagrams = (trio.network.delivered.get("raft/one") ?? 0) - before;
  t.ok(datagrams <= 8, `${datagrams} datagrams`);
});
