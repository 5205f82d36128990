import t from "tap";
import { Conversation, ledByFirst } from "./conversation.ts";
import { bootstrapDisk, votersOnly } from "./disk.ts";
import { listen } from "./listen.ts";

t.test("transferLeadership() hands over at once to one that has everything", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  t.ok(conversation.transfer("a", "c"));
  says(`
    a -> c  timeout-now 2
    c: candidate, term 3
    c disk  term 3, vote c, no entries
    c -> a, b  vote-request 3, log ends 2/2, transfer
    a: follower of nobody, term 3
    b: follower of nobody, term 3
    a disk  term 3, vote c, no entries
    a -> c  vote-response 3, granted
    b disk  term 3, vote c, no entries
    b -> c  vote-response 3, granted
    c: leader, term 3
    c -> a, b  heartbeat-request 3, commit 0, round 0
    c -> a, b  append-request 3, behind 2/2: 3/3, commit 2
    a: follower of c, term 3
    a -> c  heartbeat-response 3, round 0
    b: follower of c, term 3
    b -> c  heartbeat-response 3, round 0
    a disk  term 3, vote c, 3/3
    a -> c  append-response 3, holds 3
    b disk  term 3, vote c, 3/3
    b -> c  append-response 3, holds 3
    c disk  term 3, vote c, 3/3
    c: commit 3
  `);
});

t.test(
  "transferLeadership() waits for a target that is behind, and takes no proposals meanwhile",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    const says = listen(t, conversation);
    conversation.lose({ kind: "append-request", to: "c" });
    conversation.propose("a", "x");
    conversation.run(20);
    conversation.transfer("a", "c");
    conversation.takeTranscript();
    t.same(
      conversation.act("a", (raft) => raft.propose(Buffer.from("y"))),
      { kind: "refused", reason: "transferring" },
    );
    conversation.heal();
    conversation.run(100);
    says.first(`
    a -> b  heartbeat-request 2, commit 3, round 0
    a -> c  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 2, round 0
    a -> c  append-request 2, behind 3/2: no entries, commit 3
    c -> a  append-response 2, rejects 3, try 2/2
    a -> c  append-request 2, behind 2/2: 3/2"x", commit 3
    c: commit 3
    c disk  term 2, vote a, 3/2"x"
    c -> a  append-response 2, holds 3
    a -> c  timeout-now 2
    c: candidate, term 3
  `);
    t.match(conversation.raft("c"), { role: "leader", commitIndex: 4 });
  },
);

t.test(
  "transferLeadership() to a member that needs a snapshot waits until it has that, and the rest",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    const says = listen(t, conversation);
    conversation.cutOff("c");
    conversation.propose("a", "x");
    conversation.run(100);
    conversation.compact("a");
    conversation.heal();
    conversation.run(100);
    conversation.takeTranscript();
    t.ok(conversation.transfer("a", "c"));
    conversation.run(100);
    says(`
    a -> b  heartbeat-request 2, commit 3, round 0
    a -> c  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 2, round 0
    a -> c  snapshot-request 2, log begins behind 3/2
    c: needs a snapshot from a
  `);
    conversation.restore("c", conversation.store("a"));
    says.first(`
    c: installs the snapshot 3/2
    c: commit 3
    c disk  snapshot 3/2, term 2, vote a, no entries
    c -> a  append-response 2, holds 3
    a -> c  timeout-now 2
    c: candidate, term 3
  `);
    t.equal(conversation.raft("c").role, "leader");
  },
);

t.test("transferLeadership() to a dead target ends after an election timeout", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.crash("c");
  conversation.transfer("a", "c");
  conversation.run(999);
  t.ok(conversation.raft("a").isTransferring);
  conversation.run(1);
  t.notOk(conversation.raft("a").isTransferring);
  conversation.propose("a", "x");
  t.equal(conversation.raft("b").lastIndex, 3);
});

t.test("transferLeadership() asked for again and again ends no later", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.lose({ kind: "timeout-now" });
  for (const to of ["c", null, "b", "c"]) {
    t.ok(conversation.transfer("a", to));
    conversation.run(250);
  }
  t.notOk(conversation.raft("a").isTransferring);
  t.ok(conversation.transfer("a", "c"), "it may be tried anew");
  t.ok(conversation.raft("a").isTransferring);
});

t.test("transferLeadership() asks again when timeout-now is lost", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.lose({ kind: "timeout-now" });
  conversation.transfer("a", "c");
  says(`
    a -x c  timeout-now 2
  `);
  conversation.heal();
  conversation.run(100);
  t.equal(conversation.raft("c").role, "leader");
});

t.test("transferLeadership() of a lone voter, to itself or to a learner is refused", async (t) => {
  const disk = bootstrapDisk({ voters: ["a"], outgoing: [], learners: ["x"] });
  const conversation = new Conversation({ members: { a: disk, x: disk } });
  conversation.run(1000);
  for (const to of [null, "a", "x", "nobody"]) t.notOk(conversation.raft("a").transferLeadership(to));
  t.notOk(conversation.raft("x").transferLeadership());
});

t.test("transferLeadership() without a target takes a voter that answers", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  // b holds as much as c does, but it is dead.
  conversation.crash("b");
  conversation.run(2500);
  t.ok(conversation.transfer("a"));
  t.equal(conversation.raft("c").role, "leader");
});

t.test("timeout-now turns a pre-candidate into a candidate that the leader stands behind", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.leaderLost("b", "a", 0);
  t.equal(conversation.raft("b").role, "pre-candidate");
  conversation.hold({ kind: "vote-request" });
  conversation.inject({ kind: "timeout-now", from: "a", to: "b", term: 2 });
  t.match(conversation.held, [{ kind: "vote-request", transfer: true }, { to: "c" }]);
});

t.test("timeout-now means nothing to a learner", async (t) => {
  const disk = bootstrapDisk({ ...votersOnly(["a"]), learners: ["x"] });
  const conversation = new Conversation({ members: { x: disk, a: disk } });
  const says = listen(t, conversation);
  conversation.run(1000);
  conversation.takeTranscript();
  conversation.inject({ kind: "timeout-now", from: "a", to: "x", term: 2 });
  says(`
    a late x  timeout-now 2
    x: follower of a, term 2
    x disk  term 2, vote none, no entries
  `);
});

t.test(
  "timeout-now means nothing to a member whose disk hangs: its votes would come at any time",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    const says = listen(t, conversation);
    conversation.lose({ kind: "append-response", to: "a" });
    conversation.holdDisk("b");
    conversation.propose("a", "x");
    conversation.run(2000);
    conversation.takeTranscript();
    conversation.inject({ kind: "timeout-now", from: "a", to: "b", term: 2 });
    says(`
    a late b  timeout-now 2
  `);
    conversation.heal();
    conversation.releaseDisk("b");
    conversation.run(5000);
    t.match(conversation.raft("a"), { role: "leader", term: 2 });
  },
);
