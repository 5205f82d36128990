import t from "tap";
import { EMPTY_CONFIGURATION } from "../../agent/raft/types.ts";
import { Conversation } from "./conversation.ts";
import { bootstrapDisk, EMPTY_DISK, votersOnly } from "./member.ts";
import { says } from "./says.ts";

t.test("elects the first of three that runs out of patience", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  conversation.run(999);
  says(
    t,
    conversation,
    `
    
  `,
  );
  conversation.run(1);
  says(
    t,
    conversation,
    `
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
    a -> b, c  append-request 2, behind 1/1: 2/2, commit 0
    a -> b, c  heartbeat-request 2, commit 0, round 0
    b: follower of a, term 2
    c: follower of a, term 2
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 2, round 0
    a -> b, c  append-request 2, behind 1/1: 2/2, commit 0
    a disk  term 2, vote a, 2/2
    b disk  term 2, vote a, 2/2
    b -> a, a  append-response 2, holds 2
    c disk  term 2, vote a, 2/2
    c -> a, a  append-response 2, holds 2
    a: commit 2
  `,
  );
  t.equal(conversation.raft("c").leader, "a");
});

t.test("elects a lone voter without a word", async (t) => {
  const conversation = new Conversation({ members: ["a"] });
  conversation.run(1000);
  says(
    t,
    conversation,
    `
    a: candidate, term 2
    a disk  term 2, vote a, no entries
    a: leader, term 2
    a disk  term 2, vote a, 2/2
    a: commit 2
  `,
  );
});

t.test("elects one of two with the consent of both", async (t) => {
  const conversation = new Conversation({ members: ["a", "b"] });
  conversation.cutOff("b");
  conversation.run(1000);
  says(
    t,
    conversation,
    `
    a: pre-candidate, term 1
    a -x b  pre-vote-request 2, log ends 1/1
  `,
  );
  conversation.heal();
  conversation.run(100);
  says(
    t,
    conversation,
    `
    a -> b  pre-vote-request 2, log ends 1/1
    b -> a  pre-vote-response 2, granted
    a: candidate, term 2
    a disk  term 2, vote a, no entries
    a -> b  vote-request 2, log ends 1/1
    b: follower of nobody, term 2
    b disk  term 2, vote a, no entries
    b -> a  vote-response 2, granted
    a: leader, term 2
    a -> b  append-request 2, behind 1/1: 2/2, commit 0
    b: follower of a, term 2
    a disk  term 2, vote a, 2/2
    a -> b  heartbeat-request 2, commit 0, round 0
    b disk  term 2, vote a, 2/2
    b -> a  append-response 2, holds 2
    b -> a  heartbeat-response 2, round 0
    a: commit 2
  `,
  );
});

t.test("elects one of five while two are down", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c", "d", "e"] });
  conversation.crash("d");
  conversation.crash("e");
  conversation.run(1000);
  says(
    t,
    conversation,
    `
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
    a -> b, c, d, e  append-request 2, behind 1/1: 2/2, commit 0
    b: follower of a, term 2
    c: follower of a, term 2
    a disk  term 2, vote a, 2/2
    a -> b, c, d, e  heartbeat-request 2, commit 0, round 0
    b disk  term 2, vote a, 2/2
    b -> a  append-response 2, holds 2
    c disk  term 2, vote a, 2/2
    c -> a  append-response 2, holds 2
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 2, round 0
    a: commit 2
  `,
  );
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
    t.same(conversation.raft("b").configuration, EMPTY_CONFIGURATION);
    conversation.run(1000);
    says(
      t,
      conversation,
      `
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
    a -> b, c  append-request 2, behind 1/1: 2/2, commit 0
    a -> b, c  heartbeat-request 2, commit 0, round 0
    b: follower of a, term 2
    b -> a  append-response 2, rejects 1, try 0/0
    c: follower of a, term 2
    c -> a  append-response 2, rejects 1, try 0/0
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 2, round 0
    a -> b, c, b, c  append-request 2, behind 0/0: 1/1(a b c) 2/2, commit 0
    a disk  term 2, vote a, 2/2
    b disk  term 2, vote a, 1/1(a b c) 2/2
    b -> a, a  append-response 2, holds 2
    c disk  term 2, vote a, 1/1(a b c) 2/2
    c -> a, a  append-response 2, holds 2
    a: commit 2
  `,
    );
    t.ok(conversation.raft("b").isVoter);
    t.same(conversation.raft("c").configuration, votersOnly(["a", "b", "c"]));
  },
);

t.test("lets an empty newcomer wait for ever", async (t) => {
  const conversation = new Conversation({ members: { a: EMPTY_DISK, b: EMPTY_DISK } });
  conversation.run(60_000);
  says(
    t,
    conversation,
    `
    
  `,
  );
});

t.test("counts a doubled grant once", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c", "d", "e"] });
  for (const id of ["c", "d", "e"]) conversation.crash(id);
  conversation.takeTranscript();
  conversation.fate = () => "arrives twice";
  conversation.run(1000);
  says(
    t,
    conversation,
    `
    a: pre-candidate, term 1
    a => b, c, d, e  pre-vote-request 2, log ends 1/1
    b => a, a  pre-vote-response 2, granted
  `,
  );
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

t.test("counts a grant of an earlier term for nothing", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0, b: 0.99, c: 0.99 } });
  // Pre-votes pass, votes do not: a campaigns in term 2, then in term 3.
  conversation.fate = ({ kind }) =>
    kind === "vote-response" ? "waits" : kind === "vote-request" ? "arrives" : "arrives";
  conversation.run(1000);
  t.equal(conversation.raft("a").role, "candidate");
  conversation.fate = ({ kind }) => (kind.startsWith("pre-vote") ? "arrives" : "is lost");
  conversation.run(1000);
  t.equal(conversation.raft("a").term, 3);
  conversation.takeTranscript();
  conversation.release();
  says(
    t,
    conversation,
    `
    b late a  vote-response 2, granted
    c late a  vote-response 2, granted
  `,
  );
  t.equal(conversation.raft("a").role, "candidate");
});

t.test("counts a pre-vote of an earlier term for nothing", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0, b: 0.99, c: 0.99 } });
  conversation.fate = ({ kind }) => (kind === "pre-vote-response" ? "waits" : "arrives");
  conversation.run(1000);
  conversation.fate = ({ to }) => (to === "a" || to === "b" ? "arrives" : "is lost");
  conversation.elect("b");
  conversation.cutOff("a");
  conversation.run(2000);
  t.equal(conversation.raft("a").role, "pre-candidate");
  t.equal(conversation.raft("a").term, 2);
  conversation.takeTranscript();
  conversation.release();
  t.equal(conversation.raft("a").term, 2);
});

t.test("refuses a candidate whose log is shorter or older", async (t) => {
  const abc = votersOnly(["a", "b", "c"]);
  const disk = bootstrapDisk(abc);
  const newer = {
    entries: [...disk.entries, { kind: "noop", index: 2, term: 2 } as const],
    hardState: { term: 2, vote: null, commit: 0 },
  };
  const longer = {
    entries: [
      ...disk.entries,
      { kind: "noop", index: 2, term: 1 } as const,
      { kind: "noop", index: 3, term: 1 } as const,
    ],
    hardState: { term: 1, vote: null, commit: 0 },
  };
  const conversation = new Conversation({ members: { a: longer, b: newer, c: newer } });
  conversation.run(1000);
  says(
    t,
    conversation,
    `
    a: pre-candidate, term 1
    a -> b, c  pre-vote-request 2, log ends 3/1
    b -> a  pre-vote-response 2, refused
    c -> a  pre-vote-response 2, refused
    a: follower of nobody, term 2
    a disk  term 2, vote none, no entries
  `,
  );
});

t.test("settles a split vote with the next timeout", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0, b: 0, c: 0.99 } });
  conversation.crash("c");
  conversation.fate = ({ kind }) => (kind === "pre-vote-response" ? "arrives" : "arrives");
  conversation.run(2500);
  t.match([conversation.raft("a").role, conversation.raft("b").role].sort(), ["follower", "leader"]);
});
