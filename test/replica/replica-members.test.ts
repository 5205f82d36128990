import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { MemberSet, testMembers } from "./member-set.ts";

testMembers(
  "a leader that is put out of use hands over, and comes back with the new leader's copy",
  async (t, members) => {
    await members.write("a", 1, 20);
    const { replica } = members.get("a");
    t.equal(replica.status().role, "leader");
    replica.copy.quarantine("diverged");
    t.equal(replica.leadership.leader, null, "nobody is sent there");
    await members.until("a has a copy", () => replica.status().copyFault === null);
    t.not(replica.status().role, "leader");
    await members.write("a", 21, 5);
    t.equal((await members.ids("a", "linearizable")).length, 25);
  },
);

testMembers("two members without a copy do not give leadership back and forth", async (t, members) => {
  await members.write("a", 1, 20);
  for (const letter of ["a", "b"]) members.get(letter).replica.copy.quarantine("diverged");
  await members.until("both have the copy of the third", () =>
    ["a", "b"].every((letter) => members.get(letter).replica.status().copyFault === null),
  );
  await members.write("a", 21, 5);
  for (const letter of ["a", "b"]) t.equal((await members.ids(letter, "linearizable")).length, 25);
});

testMembers("a member that is put out of use gives no more of its copy", async (t, members) => {
  await members.write("a", 1, 120);
  const [source, { replica }] = [members.get("a").replica, members.get("c")];
  members.network.alterAnswer = (method, body) => {
    if (method !== "snapshot/read" || source.status().copyFault !== null) return body;
    t.ok(source.copy.heldPosition, "it has begun to send");
    source.copy.pauseFetching();
    source.copy.quarantine("diverged");
    t.equal(source.copy.heldPosition, null);
    return body;
  };
  replica.copy.quarantine("diverged");
  await members.until("c has a copy", () => replica.status().copyFault === null);
  t.equal(source.status().copyFault, "diverged");
  const opened = members.network.delivered.get("snapshot/open") ?? 0;
  t.ok(opened > 1, "c had to open another member's");
  t.equal((await members.ids("c", "linearizable")).length, 120);
});

testMembers(
  "a voter is swapped for a newcomer in one step, and never comes back under its id",
  async (t, members) => {
    await members.write("a", 1, 120);
    const [a, b, c, d] = ["a", "b", "c", "d"].map(MemberSet.memberId) as [string, string, string, string];
    const { replica: leader } = members.get("a");
    await members.start("d");
    await leader.members.change({ voters: [a, b, c], learners: [d] }, 10_000);
    t.equal(leader.status().learners.includes(d), true);
    await members.until("d is level, by a snapshot", () => {
      const peer = leader.status().peers?.find(({ member }) => member === d);
      return peer?.match === leader.status().lastIndex;
    });
    t.equal(members.get("d").replica.status().role, "learner");
    const asked: (readonly string[])[] = [];
    let areCopied = false;
    leader.members.requireCopies(async (voters) => {
      asked.push(voters);
      return areCopied;
    });
    await leader.members.change({ voters: [a, b, c], learners: [d] }, 10_000);
    t.strictSame(asked, [], "that moves no votes");
    await t.rejects(leader.members.change({ voters: [a, b, d], learners: [] }, 10_000), { code: "no-copy" });
    t.ok(leader.status().voters.includes(c), "nothing was done");
    areCopied = true;
    await leader.members.change({ voters: [a, b, d], learners: [] }, 10_000);
    t.strictSame(asked, [
      [a, b, d],
      [a, b, d],
    ]);
    t.strictSame([...leader.status().voters].sort(), [a, b, d]);
    await t.rejects(leader.members.change({ voters: [a, b, c], learners: [] }, 10_000), {
      code: "member-retired",
    });
    await t.rejects(leader.members.change({ voters: [], learners: [] }, 10_000), {
      code: "invalid-configuration",
    });
    await t.rejects(members.get("b").replica.members.change({ voters: [a], learners: [] }, 1_000), {
      code: "not-leader",
    });
    await leader.members.change({ voters: [a, b, d], learners: [] }, 10_000);
    await members.get("c").stop();
    await members.get("b").stop();
    await members.write("a", 121, 1);
    t.equal((await members.ids("d", "linearizable")).length, 121, "a and d decide");
  },
);

testMembers("who leads and is voted out finishes the change and leaves", async (t, members) => {
  const [a, b, c] = ["a", "b", "c"].map(MemberSet.memberId) as [string, string, string];
  const { replica: leader } = members.get("a");
  // Where another leads before the change is done, who is out does not hear of its end.
  await leader.members.change({ voters: [b, c], learners: [] }, 5_000).catch((error: unknown) => {
    if (!isTrivetError(error, "outcome-unknown") && !isTrivetError(error, "timeout")) throw error;
  });
  await members.until("another leads", () => {
    const { leader: next } = members.get("b").replica.leadership;
    return next === b || next === c;
  });
  t.not(leader.status().role, "leader");
  await members.get("a").stop();
  await members.write("b", 1, 3);
  t.equal((await members.ids("c", "linearizable")).length, 3);
  t.notOk(members.get("b").replica.status().voters.includes(a));
});

testMembers(
  "a copy whose files a crash has left at different entries becomes level with nobody to ask",
  async (t, members) => {
    await members.write("a", 1, 10);
    await members.get("a").stop();
    const old = await members.database("a", "state.db");
    await members.start("a");
    await members.until("somebody leads", () => members.get("a").replica.leadership.leader !== null);
    await members.write("a", 11, 10);
    const { lastIndex } = members.get("a").replica.status();
    await members.until("a has applied", () => members.get("a").replica.status().appliedIndex >= lastIndex);
    await members.get("a").stop();
    await members.database("a", "state.db", old);
    members.cutOff("a");
    await members.start("a");
    const { replica } = members.get("a");
    await members.until("both files are where one was", () => replica.status().appliedIndex >= lastIndex);
    t.equal((await members.ids("a")).length, 20);
  },
);
