import { type Test, t } from "tap";
import { confirmQuorum } from "../../agent/membership/confirm-quorum.ts";
import { systemClock as clock } from "../../agent/platform/clock.ts";
import { CopyCensus } from "../../agent/replica/copy-census.ts";
import { MemberSet } from "../replica/member-set.ts";

const TIMEOUT_MS = 8_000;
const C = "c".repeat(32);
const [A, B, D] = ["a", "b", "d"].map(MemberSet.memberId) as [string, string, string];

/** Members that say what they hold; `a` leads. */
class Confirming {
  readonly members: MemberSet;
  readonly #censuses = new Map<string, CopyCensus>();

  constructor(members: MemberSet) {
    this.members = members;
  }

  async start(letter: string, voters: readonly string[] | null = null): Promise<void> {
    const { memberId, replica } = await this.members.start(letter, voters);
    this.#censuses.get(letter)?.stop();
    const transport = this.members.network.transportOf(letter.repeat(32));
    const census = new CopyCensus({ memberId, holds: (position) => replica.holds(position), transport });
    this.#censuses.set(letter, census);
  }

  get replica() {
    return this.members.get("a").replica;
  }

  get census(): CopyCensus {
    const census = this.#censuses.get("a");
    if (census === undefined) throw new Error("a does not run");
    return census;
  }

  /** That the cluster does without `c`. */
  confirm(): Promise<void> {
    return confirmQuorum({ replica: this.replica, census: this.census, clock }, C, TIMEOUT_MS);
  }
}

function testConfirming(name: string, play: (t: Test, confirming: Confirming) => Promise<void>): void {
  t.test(name, { timeout: 60_000 }, async (t) => {
    const members = await MemberSet.open();
    t.teardown(() => members.end());
    const confirming = new Confirming(members);
    await confirming.start("a", ["a", "b", "c"]);
    await confirming.start("b");
    await confirming.start("c");
    await members.run("a", "CREATE TABLE kept (id INTEGER PRIMARY KEY, body)");
    await play(t, confirming);
    t.strictSame(members.failures, [], "nobody failed");
  });
}

testConfirming(
  "who acknowledges entries and has no copy of the data does not count",
  async (t, confirming) => {
    const { members, replica } = confirming;
    await members.write("a", 1, 120);
    const fault = () => members.get("b").replica.status().copyFault;
    const isLogCut = () => members.get("b").replica.status().firstIndex > 1;
    await members.until("b's log is not whole any more", isLogCut);
    await confirming.confirm();

    members.get("b").replica.leaveStore();
    t.equal(fault(), "damaged");
    t.notOk(members.get("b").replica.hasWholeCopy);
    await t.rejects(confirming.confirm(), { code: "no-quorum" });

    await members.get("b").stop();
    await members.emptyDatabases("b");
    // What it fetches it does not get, for now.
    members.network.alterAnswer = (method, body) =>
      method.startsWith("snapshot/") ? new Uint8Array([0x80]) : body;
    await confirming.start("b");
    await members.until("b follows", () => members.get("b").replica.leadership.leader === A);
    await members.get("c").stop();
    // Without b's log there would be no quorum for the entry by which the leader asks.
    await t.rejects(confirming.confirm(), { code: "no-quorum" });
    t.equal(fault(), "empty");
    members.network.alterAnswer = (_method, body) => body;
    await members.until("b has a copy", () => fault() === null);
    await confirming.confirm();

    replica.leaveStore();
    await t.rejects(confirming.confirm(), { code: "not-leader" });
    await replica.leadership.handOver(TIMEOUT_MS);
    await members.until("another leads", () => members.get("b").replica.leadership.isLeader);
  },
);

testConfirming("members that are being changed are not counted", async (t, { members, replica, census }) => {
  const change = () => replica.members.change({ voters: [A, B], learners: [] }, TIMEOUT_MS);
  let asked = 0;
  const { proposer, leadership, raft } = replica;
  const slow = {
    proposer: {
      propose: async (...command: Parameters<typeof proposer.propose>) => {
        const applied = await proposer.propose(...command);
        await change();
        return applied;
      },
    },
    ...{ leadership, raft },
  };
  const counting = { isHeldByQuorum: async () => ++asked > 0 };
  await t.rejects(confirmQuorum({ replica: slow, census: counting, clock }, C, TIMEOUT_MS), {
    code: "change-pending",
  });
  t.equal(asked, 0);
  const back = () => replica.members.change({ voters: [A, B], learners: [D] }, TIMEOUT_MS);
  const changing = {
    isHeldByQuorum: async () => {
      await back();
      return true;
    },
  };
  await t.rejects(confirmQuorum({ replica, census: changing, clock }, C, TIMEOUT_MS), {
    code: "change-pending",
  });
  const losing = {
    isHeldByQuorum: async () => {
      await replica.leadership.handOver(TIMEOUT_MS);
      return true;
    },
  };
  await t.rejects(confirmQuorum({ replica, census: losing, clock }, C, TIMEOUT_MS), { code: "no-quorum" });
  t.notOk(replica.leadership.isLeader);
  t.ok(members.get("b").replica.leadership.isLeader);
  await t.rejects(confirmQuorum({ replica, census, clock }, C, TIMEOUT_MS), { code: "not-leader" });
});

testConfirming("who led in another term meanwhile knows nothing of this one", async (t, confirming) => {
  const { members, replica } = confirming;
  const { leadership } = replica;
  const returning = {
    isHeldByQuorum: async () => {
      await leadership.handOver(TIMEOUT_MS, B);
      await members.get("b").replica.leadership.handOver(TIMEOUT_MS, A);
      await members.until("a leads again", () => leadership.isLeader);
      return true;
    },
  };
  const { term } = replica.raft;
  await t.rejects(confirmQuorum({ replica, census: returning, clock }, C, TIMEOUT_MS), {
    code: "no-quorum",
  });
  t.ok(leadership.isLeader && replica.raft.term > term);
});
