import t from "tap";
import type { VoteRequest } from "../../agent/raft/messages.ts";
import { EMPTY_CONFIGURATION } from "../../agent/raft/types.ts";
import { Conversation } from "./conversation.ts";
import { bootstrapDisk, diskOfTerms, EMPTY_DISK, votersOnly } from "./disk.ts";
import { listen } from "./listen.ts";

t.test("elects the first of three that runs out of patience", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  const says = listen(t, conversation);
  conversation.run(999);
  says("");
  conversation.run(1);
  says(`
    a: pre-candidate, term 1
    a -> b, c  pre-vote-request 2, log ends 1/1
    b -> a  pre-vote-response 2, granted
    c -> a  pre-vote-response 2, granted
    a: candidate, term 2
    a disk  term 2, vote a, no entries
    a -> b, c  vote-request 2, log ends 1/1
    b: follower of nobody, term 2
    c: follower of nobody, term 2
    b disk  term 2, vote a, no entries
    b -> a  vote-response 2, granted
    c disk  term 2, vote a, no entries
    c -> a  vote-response 2, granted
    a: leader, term 2
    a -> b, c  heartbeat-request 2, commit 0, round 0
    a -> b, c  append-request 2, behind 1/1: 2/2, commit 0
    b: follower of a, term 2
    b -> a  heartbeat-response 2, round 0
    c: follower of a, term 2
    c -> a  heartbeat-response 2, round 0
    a disk  term 2, vote a, 2/2
    b disk  term 2, vote a, 2/2
    b -> a  append-response 2, holds 2
    c disk  term 2, vote a, 2/2
    c -> a  append-response 2, holds 2
    a: commit 2
  `);
  t.equal(conversation.raft("c").leader, "a");
});

t.test("elects a lone voter without a word", async (t) => {
  const conversation = new Conversation({ members: ["a"] });
  const says = listen(t, conversation);
  conversation.run(1000);
  says(`
    a: candidate, term 2
    a disk  term 2, vote a, no entries
    a: leader, term 2
    a disk  term 2, vote a, 2/2
    a: commit 2
  `);
});

t.test("elects one of two with the consent of both", async (t) => {
  const conversation = new Conversation({ members: ["a", "b"] });
  const says = listen(t, conversation);
  conversation.cutOff("b");
  conversation.run(1000);
  says(`
    a: pre-candidate, term 1
    a -x b  pre-vote-request 2, log ends 1/1
  `);
  conversation.heal();
  conversation.run(100);
  says(`
    a -> b  pre-vote-request 2, log ends 1/1
    b -> a  pre-vote-response 2, granted
    a: candidate, term 2
    a disk  term 2, vote a, no entries
    a -> b  vote-request 2, log ends 1/1
    b: follower of nobody, term 2
    b disk  term 2, vote a, no entries
    b -> a  vote-response 2, granted
    a: leader, term 2
    a -> b  heartbeat-request 2, commit 0, round 0
    a -> b  append-request 2, behind 1/1: 2/2, commit 0
    b: follower of a, term 2
    b -> a  heartbeat-response 2, round 0
    a disk  term 2, vote a, 2/2
    b disk  term 2, vote a, 2/2
    b -> a  append-response 2, holds 2
    a: commit 2
  `);
});

t.test("elects one of five while two are down", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c", "d", "e"] });
  const says = listen(t, conversation);
  conversation.crash("d");
  conversation.crash("e");
  conversation.run(1000);
  says.first(`
    d: crashes
    e: crashes
    a: pre-candidate, term 1
    a -> b, c, d, e  pre-vote-request 2, log ends 1/1
    b -> a  pre-vote-response 2, granted
    c -> a  pre-vote-response 2, granted
    a: candidate, term 2
    a disk  term 2, vote a, no entries
    a -> b, c, d, e  vote-request 2, log ends 1/1
    b: follower of nobody, term 2
    c: follower of nobody, term 2
    b disk  term 2, vote a, no entries
    b -> a  vote-response 2, granted
    c disk  term 2, vote a, no entries
    c -> a  vote-response 2, granted
    a: leader, term 2
  `);
  t.equal(conversation.raft("a").commitIndex, 2);
});

t.test("elects nobody of five while three are down, and raises no term", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c", "d", "e"] });
  for (const id of ["c", "d", "e"]) conversation.crash(id);
  conversation.run(60_000);
  t.equal(conversation.raft("a").term, 1);
  t.equal(conversation.raft("b").term, 1);
  t.equal(conversation.raft("a").leader, null);
});

t.test(
  "makes voters of empty newcomers, which vote for the bootstrapper and learn it from the log",
  async (t) => {
    const disk = bootstrapDisk(votersOnly(["a", "b", "c"]));
    const conversation = new Conversation({ members: { a: disk, b: EMPTY_DISK, c: EMPTY_DISK } });
    const says = listen(t, conversation);
    t.same(conversation.raft("b").configuration, EMPTY_CONFIGURATION);
    conversation.run(1000);
    says(`
      a: pre-candidate, term 1
      a -> b, c  pre-vote-request 2, log ends 1/1
      b -> a  pre-vote-response 2, granted
      c -> a  pre-vote-response 2, granted
      a: candidate, term 2
      a disk  term 2, vote a, no entries
      a -> b, c  vote-request 2, log ends 1/1
      b: follower of nobody, term 2
      c: follower of nobody, term 2
      b disk  term 2, vote a, no entries
      b -> a  vote-response 2, granted
      c disk  term 2, vote a, no entries
      c -> a  vote-response 2, granted
      a: leader, term 2
      a -> b, c  heartbeat-request 2, commit 0, round 0
      a -> b, c  append-request 2, behind 1/1: 2/2, commit 0
      b: follower of a, term 2
      b -> a  heartbeat-response 2, round 0
      c: follower of a, term 2
      c -> a  heartbeat-response 2, round 0
      b -> a  append-response 2, rejects 1, try 0/0
      c -> a  append-response 2, rejects 1, try 0/0
      a -> b, c  append-request 2, behind 0/0: 1/1(a b c) 2/2, commit 0
      a disk  term 2, vote a, 2/2
      b disk  term 2, vote a, 1/1(a b c) 2/2
      b -> a  append-response 2, holds 2
      c disk  term 2, vote a, 1/1(a b c) 2/2
      c -> a  append-response 2, holds 2
      a: commit 2
    `);
    t.ok(conversation.raft("b").isVoter);
    t.same(conversation.raft("c").configuration, votersOnly(["a", "b", "c"]));
  },
);

t.test("lets an empty newcomer wait for ever", async (t) => {
  const conversation = new Conversation({ members: { a: EMPTY_DISK, b: EMPTY_DISK } });
  const says = listen(t, conversation);
  conversation.run(60_000);
  says("");
});

t.test("counts a doubled grant once", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c", "d", "e"] });
  const says = listen(t, conversation);
  for (const id of ["c", "d", "e"]) conversation.crash(id);
  conversation.takeTranscript();
  conversation.fate = () => "arrives twice";
  conversation.run(1000);
  says(`
    a: pre-candidate, term 1
    a => b, c, d, e  pre-vote-request 2, log ends 1/1
    b => a, a  pre-vote-response 2, granted
  `);
  t.equal(conversation.raft("a").role, "pre-candidate");
});

t.test("counts a doubled vote once", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c", "d", "e"] });
  for (const id of ["d", "e"]) conversation.crash(id);
  // c grants the pre-vote and is not heard of again.
  conversation.fate = ({ kind, to }) => (kind === "vote-request" && to === "c" ? "is lost" : "arrives twice");
  conversation.run(1000);
  t.equal(conversation.raft("a").role, "candidate");
  t.equal(conversation.raft("b").term, 2);
});

t.test("counts a vote of an earlier term for nothing", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0, b: 0.9, c: 0.9 } });
  const says = listen(t, conversation);
  conversation.hold({ kind: "vote-response" });
  conversation.run(1000);
  conversation.fate = ({ kind }) => (kind.startsWith("pre-vote") ? "arrives" : "is lost");
  conversation.run(1000);
  conversation.takeTranscript();
  conversation.release();
  says(`
    b late a  vote-response 2, granted
    c late a  vote-response 2, granted
  `);
  t.match(conversation.raft("a"), { role: "candidate", term: 3 });
});

t.test("counts a pre-vote for an earlier term for nothing", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  const says = listen(t, conversation);
  conversation.hold({ kind: "pre-vote-response" });
  conversation.run(1000);
  conversation.lose({ kind: "pre-vote-response" });
  conversation.elect("b");
  conversation.cutOff("a");
  conversation.run(2000);
  t.match(conversation.raft("a"), { role: "pre-candidate", term: 2 });
  conversation.takeTranscript();
  conversation.release();
  says(`
    b late a  pre-vote-response 2, granted
    c late a  pre-vote-response 2, granted
  `);
  t.equal(conversation.raft("a").role, "pre-candidate");
});

t.test("refuses a candidate whose log is older, be it longer", async (t) => {
  const abc = votersOnly(["a", "b", "c"]);
  const longer = diskOfTerms(abc, [1, 1, 1]);
  const newer = diskOfTerms(abc, [1, 2]);
  const conversation = new Conversation({ members: { a: longer, b: newer, c: newer } });
  const says = listen(t, conversation);
  conversation.run(1000);
  says(`
    a: pre-candidate, term 1
    a -> b, c  pre-vote-request 2, log ends 3/1
    b -> a  pre-vote-response 2, refused
    c -> a  pre-vote-response 2, refused
    a: follower of nobody, term 2
    a disk  term 2, vote none, no entries
  `);
});

t.test("gives one vote a term, also after a crash", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  const says = listen(t, conversation);
  conversation.act("c", (raft) => raft.step(voteRequest("a", "c", 5)));
  conversation.crash("c");
  conversation.restart("c");
  conversation.act("c", (raft) => raft.step(voteRequest("b", "c", 5)));
  conversation.act("c", (raft) => raft.step(voteRequest("a", "c", 5)));
  says(`
    c: follower of nobody, term 5
    c disk  term 5, vote a, no entries
    c -> a  vote-response 5, granted
    a: follower of nobody, term 5
    a disk  term 5, vote none, no entries
    c: crashes
    c: starts
    c -> b  vote-response 5, refused
    b: follower of nobody, term 5
    b disk  term 5, vote none, no entries
    c -> a  vote-response 5, granted
  `);
});

t.test("settles a split vote in the next term", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0.2, b: 0.25, c: 0 } });
  const says = listen(t, conversation);
  conversation.crash("c");
  // Both get their pre-vote, then each votes for itself before it hears of the other.
  conversation.hold({ kind: "pre-vote-response" });
  conversation.run(1250);
  conversation.lose({ kind: "vote-request" });
  conversation.release();
  t.same([conversation.raft("a").role, conversation.raft("b").role], ["candidate", "candidate"]);
  conversation.heal();
  conversation.run(1199);
  conversation.takeTranscript();
  conversation.run(1);
  says.first(`
    a: pre-candidate, term 2
    a -> b, c  pre-vote-request 3, log ends 1/1
    b -> a  pre-vote-response 3, granted
    b -> c  vote-request 2, log ends 1/1
    a: candidate, term 3
    a disk  term 3, vote a, no entries
    a -> b, c  vote-request 3, log ends 1/1
    b: follower of nobody, term 3
    b disk  term 3, vote a, no entries
    b -> a  vote-response 3, granted
    a: leader, term 3
  `);
  t.equal(conversation.raft("a").commitIndex, 2);
});

t.test("a candidate follows the one that has won its term", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  const says = listen(t, conversation);
  // a and b are candidates of one term, and c votes for b.
  conversation.lose({ kind: "vote-request", from: "a" });
  conversation.campaign("a");
  conversation.heal();
  conversation.takeTranscript();
  conversation.campaign("b");
  says(`
    b: candidate, term 2
    b disk  term 2, vote b, no entries
    b -> a, c  vote-request 2, log ends 1/1, transfer
    a -> b  vote-response 2, refused
    c: follower of nobody, term 2
    c disk  term 2, vote b, no entries
    c -> b  vote-response 2, granted
    b: leader, term 2
    b -> a, c  heartbeat-request 2, commit 0, round 0
    b -> a, c  append-request 2, behind 1/1: 2/2, commit 0
    a: follower of b, term 2
    a -> b  heartbeat-response 2, round 0
    c: follower of b, term 2
    c -> b  heartbeat-response 2, round 0
    a disk  term 2, vote a, 2/2
    a -> b  append-response 2, holds 2
    b disk  term 2, vote b, 2/2
    c disk  term 2, vote b, 2/2
    c -> b  append-response 2, holds 2
    b: commit 2
  `);
});

t.test("lets a learner neither campaign nor count", async (t) => {
  const disk = bootstrapDisk({ voters: ["a", "b"], outgoing: [], learners: ["x"] });
  const conversation = new Conversation({ members: { x: disk, a: disk, b: disk } });
  conversation.cutOff("b");
  conversation.run(10_000);
  t.match(conversation.raft("x"), { role: "follower", term: 1 });
  t.equal(conversation.raft("a").role, "pre-candidate");
  conversation.heal();
  conversation.run(2000);
  const leader = conversation.raft("x").leader ?? "nobody";
  conversation.cutOff(leader === "a" ? "b" : "a");
  const { commitIndex } = conversation.raft(leader);
  conversation.propose(leader, "x");
  t.equal(conversation.raft("x").lastIndex, commitIndex + 1, "the learner got it");
  t.equal(conversation.raft(leader).commitIndex, commitIndex, "but does not count");
});

t.test("needs both majorities of a joint configuration to elect and to commit", async (t) => {
  const disk = bootstrapDisk({ voters: ["a", "b", "c"], outgoing: ["a", "d", "e"], learners: [] });
  const conversation = new Conversation({ members: { a: disk, b: disk, c: disk, d: disk, e: disk } });
  conversation.cutOff("d", "e");
  conversation.run(5000);
  t.same(
    ["a", "b", "c"].map((id) => conversation.raft(id).term),
    [1, 1, 1],
    "a majority of the incoming voters is not enough",
  );
  // Enough to elect; but what the leader appends reaches only a majority of the incoming voters.
  const isOut = (id: string) => id === "c" || id === "d";
  conversation.fate = ({ kind, from, to }) =>
    isOut(from) || isOut(to) || (kind === "append-request" && to !== "b") ? "is lost" : "arrives";
  conversation.run(5000);
  t.same(
    ["a", "b", "e"].map((id) => conversation.raft(id).leader),
    ["a", "a", "a"],
  );
  t.match(conversation.raft("a"), {
    lastIndex: 2,
    commitIndex: 0,
    configuration: { outgoing: ["a", "d", "e"] },
  });
  conversation.cutOff("c", "d");
  conversation.run(200);
  t.equal(conversation.raft("a").commitIndex, 3, "and then the joint configuration is left");
});

function voteRequest(from: string, to: string, term: number): VoteRequest {
  return { kind: "vote-request", from, to, term, lastIndex: 1, lastTerm: 1, transfer: false };
}
