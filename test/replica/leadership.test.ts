import { InvariantError } from "../../agent/platform/invariant.ts";
import { NODES, type Trio, testTrio } from "./consensus-trio.ts";

const TURNS_MAX = 1_000;

testTrio("nodeLost() of the leader brings a new one long before an election timeout", async (t, trio) => {
  await trio.run(300);
  trio.members[0]?.stop();
  for (const leadership of trio.leaderships.slice(1)) leadership.nodeLost(NODES[0] ?? "");
  await trio.run(60);
  t.ok(trio.roles().slice(1).includes("leader"), `${trio.roles()}`);
});

testTrio("nodeLost() that was wrong deposes nobody", async (t, trio) => {
  await trio.run(300);
  const terms = trio.terms();
  trio.leaderships[1]?.nodeLost(NODES[0] ?? "");
  await trio.run(2_000);
  t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
  t.strictSame(trio.terms(), terms);
});

testTrio("handOver() ends when another leads and what was proposed is answered", async (t, trio) => {
  await trio.run(300);
  trio.isAnswering = true;
  let isOver = false;
  const over = trio.leaderships[0]?.handOver(5_000).then(() => {
    isOver = true;
  });
  await trio.run(600);
  t.not(trio.leaderships[0]?.isLeader, true);
  t.notOk(isOver, "its answer is still to come");
  trio.isAnswering = false;
  await trio.run(600);
  await over;
});

testTrio("yieldTo() makes that very member the leader", async (t, trio) => {
  await trio.run(300);
  const [, , last] = trio.members;
  trio.leaderships[0]?.yieldTo(last?.raft.id ?? "");
  await trio.run(60);
  t.strictSame(trio.roles(), ["follower", "follower", "leader"]);
});

testTrio("handOver() gives up after its time, when nobody takes over", async (t, trio) => {
  await trio.run(300);
  for (const other of NODES.slice(1)) trio.network.cut(NODES[0] ?? "", other);
  const over = trio.leaderships[0]?.handOver(500);
  await trio.run(1_500);
  await t.resolves(over ?? Promise.reject(new Error("no hand-over")));
});

testTrio("handOver() has one time for all that it waits for", async (t, trio) => {
  await trio.run(300);
  trio.isAnswering = true;
  for (const other of NODES.slice(1)) trio.network.cut(NODES[0] ?? "", other);
  let isOver = false;
  void trio.leaderships[0]?.handOver(800).then(() => {
    isOver = true;
  });
  await trio.run(600);
  trio.network.heal();
  await trio.run(190);
  t.ok(trio.roles().slice(1).includes("leader"), `another one leads: ${trio.roles()}`);
  t.notOk(isOver, "it waits for its answers");
  await trio.run(400);
  t.ok(isOver);
});

testTrio("handOver() takes a broken invariant for no matter of time", async (t, trio) => {
  await trio.run(300);
  const broken = new InvariantError("broken");
  const [leadership] = trio.leaderships;
  Object.defineProperty(trio, "isAnswering", {
    get: () => {
      throw broken;
    },
  });
  const refused = t.rejects(leadership?.handOver(5_000) ?? Promise.resolve(), broken);
  await trio.run(1_000);
  await refused;
});

testTrio("handOver() lingers no longer than its member takes part", async (t, trio) => {
  await trio.run(300);
  const over = trio.leaderships[0]?.handOver(5_000) ?? Promise.reject(new Error("no leadership"));
  let isOver = false;
  void over.then(() => {
    isOver = true;
  });
  await trio.run(150);
  t.not(trio.leaderships[0]?.isLeader, true, "another one leads");
  t.notOk(isOver, "it turns away what is still on its way");
  trio.leaderships[0]?.stop();
  await t.resolves(over);
});

/** The first member leads, as `voters` say, and has no copy of the data; counts how often it has work. */
async function leadWithoutCopy(trio: Trio, voters: readonly number[]): Promise<{ turns: number }> {
  const [leader] = trio.members;
  await trio.run(300);
  const target = { voters: voters.map((nth) => trio.members[nth]?.raft.id ?? ""), learners: [] };
  leader?.changeConfiguration(target);
  await trio.run(300);
  const work = { turns: 0 };
  trio.onProgress = (nth) => {
    if (nth !== 0) return;
    work.turns += 1;
    if (work.turns > TURNS_MAX) throw new Error("It does not rest.");
    trio.leaderships[0]?.progressed();
  };
  Object.assign(trio.copies[0] ?? {}, { fault: "empty" });
  trio.leaderships[0]?.progressed();
  await trio.run(1_000);
  return work;
}

testTrio("a leader without a copy and without another voter rests while it waits", async (t, trio) => {
  const { turns } = await leadWithoutCopy(trio, [0]);
  t.strictSame(trio.members[0]?.raft.configuration.voters.length, 1);
  t.equal(trio.members[0]?.raft.role, "leader");
  t.ok(turns < 50, `${turns} turns of the event loop in a second`);
});

testTrio("a leader without a copy hands over to a voter that answers", async (t, trio) => {
  await leadWithoutCopy(trio, [0, 2]);
  t.strictSame(trio.roles(), ["follower", "follower", "leader"]);
});
