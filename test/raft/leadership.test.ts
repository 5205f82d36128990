import t from "tap";
import type { Message } from "../../agent/raft/messages.ts";
import { Conversation, ledByFirst } from "./conversation.ts";
import { listen } from "./listen.ts";

t.test("pre-vote: a member that was cut off does not disturb when it comes back", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0, b: 0.1, c: 0.2 } });
  const says = listen(t, conversation);
  conversation.elect("a");
  conversation.cutOff("c");
  conversation.run(5000);
  t.match(conversation.raft("c"), { role: "pre-candidate", term: 2 });
  conversation.takeTranscript();
  conversation.heal();
  conversation.run(100);
  says(`
    a -> b, c  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    c: follower of a, term 2
    c -> a  heartbeat-response 2, round 0
  `);
});

t.test("pre-vote: a member that hears nobody, and is heard, disturbs nobody", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.lose({ to: "c" });
  conversation.run(1900);
  conversation.takeTranscript();
  conversation.run(100);
  says(`
    a -> b  heartbeat-request 2, commit 2, round 0
    a -x c  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    c -> a, b  pre-vote-request 3, log ends 2/2
  `);
  t.match(conversation.raft("a"), { role: "leader", term: 2 });
});

t.test("check-quorum: a candidate is ignored by those that hear the leader", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  const request = { kind: "vote-request", from: "c", term: 7, lastIndex: 9, lastTerm: 6 } as const;
  conversation.inject({ ...request, to: "b", transfer: false });
  says(`
    c late b  vote-request 7, log ends 9/6
  `);
  t.match(conversation.raft("b"), { leader: "a", term: 2 });
});

t.test("check-quorum: a leader that hears nobody, and is heard, makes room for another", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.lose({ to: "a" });
  conversation.run(1899);
  t.match(conversation.raft("b"), { leader: "a", term: 2 });
  conversation.takeTranscript();
  conversation.run(1);
  says.last(`
    a: follower of nobody, term 2
  `);
  conversation.run(1500);
  t.match(conversation.raft("b"), { role: "leader", term: 3 });
});

t.test(
  "check-quorum: a leader steps down that hears only one of the two majorities of a change",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    for (const id of ["d", "e"]) conversation.join(id);
    conversation.lose({ kind: "append-response" });
    conversation.change("a", ["a", "d", "e"]);
    conversation.run(3000);
    t.match(conversation.raft("a"), {
      role: "leader",
      term: 2,
      configuration: { outgoing: ["a", "b", "c"] },
    });
    conversation.cutOff("d", "e");
    conversation.run(2000);
    t.match(conversation.raft("a"), { leader: null, term: 2 });
  },
);

t.test("check-quorum: a leader that is cut off steps down within two election timeouts", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.cutOff("a");
  conversation.run(1999);
  t.not(conversation.raft("a").role, "leader");
  t.match(conversation.raft("a"), { leader: null, term: 2 });
});

t.test("a leader that comes back finds its successor, and its unheard entry is replaced", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.cutOff("a");
  conversation.propose("a", "unheard");
  conversation.run(1500);
  t.equal(conversation.raft("b").role, "leader");
  t.equal(conversation.raft("a").commitIndex, 2, "nobody else holds it");
  conversation.takeTranscript();
  conversation.heal();
  conversation.run(100);
  says(`
    a -> b, c  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 3, round 0
    c -> a  heartbeat-response 3, round 0
    a: follower of nobody, term 3
    a disk  term 3, vote none, no entries
    b -> a  heartbeat-request 3, commit 0, round 0
    b -> c  heartbeat-request 3, commit 3, round 0
    a: follower of b, term 3
    a -> b  heartbeat-response 3, round 0
    c -> b  heartbeat-response 3, round 0
    b -> a  append-request 3, behind 2/2: 3/3, commit 3
    a: commit 3
    a disk  term 3, vote none, 3/3
    a -> b  append-response 3, holds 3
  `);
});

t.test("a member of a higher term deposes the leader, or it could never follow", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0.5, b: 0, c: 0.9 } });
  const says = listen(t, conversation);
  conversation.elect("a");
  // c campaigned in a term that nobody else has heard of.
  conversation.cutOff("c");
  conversation.campaign("c");
  conversation.takeTranscript();
  conversation.heal();
  conversation.run(100);
  says.first(`
    a -> b, c  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 3, round 0
    a: follower of nobody, term 3
    a disk  term 3, vote none, no entries
    c -> a, b  vote-request 3, log ends 2/2, transfer
    b: follower of nobody, term 3
    a disk  term 3, vote c, no entries
    a -> c  vote-response 3, granted
    b disk  term 3, vote c, no entries
    b -> c  vote-response 3, granted
    c: leader, term 3
  `);
});

t.test("leaderLost() elects at once where it is true", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.crash("a");
  conversation.leaderLost("b", "a", 5);
  conversation.leaderLost("c", "a", 45);
  const lostMs = conversation.nowMs;
  conversation.run(5);
  t.equal(conversation.raft("b").role, "leader");
  t.equal(conversation.nowMs - lostMs, 5);
  says(`
    a: crashes
    b: follower of nobody, term 2
    c: follower of nobody, term 2
    b: pre-candidate, term 2
    b -> a, c  pre-vote-request 3, log ends 2/2
    c -> b  pre-vote-response 3, granted
    b: candidate, term 3
    b disk  term 3, vote b, no entries
    b -> a, c  vote-request 3, log ends 2/2
    c: follower of nobody, term 3
    c disk  term 3, vote b, no entries
    c -> b  vote-response 3, granted
    b: leader, term 3
    b -> a, c  heartbeat-request 3, commit 0, round 0
    b -> a, c  append-request 3, behind 2/2: 3/3, commit 2
    c: follower of b, term 3
    c -> b  heartbeat-response 3, round 0
    b disk  term 3, vote b, 3/3
    c disk  term 3, vote b, 3/3
    c -> b  append-response 3, holds 3
    b: commit 3
  `);
  conversation.run(500);
  t.match(conversation.raft("b"), { role: "leader", term: 3 });
});

t.test("leaderLost() elects as soon as the last voter has heard of it", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.crash("a");
  conversation.leaderLost("b", "a", 5);
  conversation.run(250);
  t.match(conversation.raft("b"), { role: "pre-candidate", term: 2 }, "c still protects the leader");
  conversation.leaderLost("c", "a", 500);
  conversation.run(100);
  t.equal(conversation.raft("b").role, "leader");
});

t.test("leaderLost() changes nothing where it is false", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.leaderLost("b", "a", 5);
  conversation.run(5);
  says(`
    b: follower of nobody, term 2
    b: pre-candidate, term 2
    b -> a, c  pre-vote-request 3, log ends 2/2
  `);
  conversation.run(95);
  t.match(conversation.raft("b"), { role: "follower", leader: "a", term: 2 });
});

t.test("leaderLost() of somebody else, or to somebody else, does nothing", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  for (const id of ["a", "b"]) conversation.leaderLost(id, "c", 0);
  conversation.run(50);
  t.equal(conversation.raft("a").role, "leader");
  t.equal(conversation.raft("b").leader, "a");
});

t.test("tick() after a long stall: the leader steps down, a follower asks before it disturbs", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  // b stands still for a minute of its own time while the others go on.
  conversation.raft("b").tick(60_000);
  t.equal(conversation.raft("b").role, "pre-candidate");
  t.equal(conversation.raft("b").term, 2);
  conversation.raft("a").tick(60_000);
  t.match(
    { role: conversation.raft("a").role, term: conversation.raft("a").term },
    { role: "follower", term: 2 },
  );
});

t.test("what a dead leader has said before does not hold up the election of another", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  const said: Message[] = [];
  conversation.fate = (message) => {
    if (message.from === "a" && message.to !== "a") said.push(message);
    return "arrives";
  };
  conversation.run(1000);
  conversation.act("a", (raft) => raft.propose(new Uint8Array(1)));
  conversation.run(500);
  t.equal(conversation.raft("b").leader, "a");
  const kinds = new Set(said.map(({ kind }) => kind));
  t.ok(kinds.has("append-request") && kinds.has("heartbeat-request"), [...kinds].join(" "));
  conversation.cutOff("a");
  const others = () => ["b", "c"].map((id) => conversation.raft(id));
  let waitedMs = 0;
  for (; !others().some(({ role }) => role === "leader") && waitedMs < 10_000; waitedMs += 100) {
    // All of it again, ten times a second: a slow broker, or one that repeats itself.
    for (const message of said) conversation.inject(message);
    conversation.run(100);
  }
  t.ok(waitedMs <= 2_000, `${waitedMs} ms`);
});
