import t from "tap";
import { Conversation, ledByFirst } from "./conversation.ts";
import { bootstrapDisk } from "./disk.ts";
import { listen } from "./listen.ts";

t.test("swaps a voter through a joint configuration, which the leader leaves by itself", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.join("d");
  t.equal(conversation.change("a", ["a", "b", "d"]), "proposed");
  says(`
    d: follower of nobody, term 0
    d: commit 0
    a: is asked for a b d
    a: members a b d -a -b -c
    a -> b, c, d  append-request 2, behind 2/2: 3/2(a b d -a -b -c), commit 2
    b: members a b d -a -b -c
    c: members a b d -a -b -c
    d: follower of a, term 2
    a disk  term 2, vote a, 3/2(a b d -a -b -c)
    b disk  term 2, vote a, 3/2(a b d -a -b -c)
    b -> a  append-response 2, holds 3
    c disk  term 2, vote a, 3/2(a b d -a -b -c)
    c -> a  append-response 2, holds 3
    d disk  term 2, vote none, no entries
    d -> a  append-response 2, rejects 2, try 0/0
    a: commit 3
    a: members a b d
    a -> b, c  append-request 2, behind 3/2: 4/2(a b d), commit 3
    a -> d  append-request 2, behind 0/0: 1/1(a b c) 2/2 3/2(a b d -a -b -c) 4/2(a b d), commit 3
    b: commit 3
    b: members a b d
    c: commit 3
    c: members a b d
    d: commit 3
    d: members a b d
    a disk  term 2, vote a, 4/2(a b d)
    b disk  term 2, vote a, 4/2(a b d)
    b -> a  append-response 2, holds 4
    c disk  term 2, vote a, 4/2(a b d)
    c -> a  append-response 2, holds 4
    d disk  term 2, vote none, 1/1(a b c) 2/2 3/2(a b d -a -b -c) 4/2(a b d)
    d -> a  append-response 2, holds 4
    a: commit 4
  `);
  // Who has left hears of it, and then of nothing more.
  conversation.run(3000);
  t.match(conversation.raft("c"), {
    commitIndex: 4,
    configuration: { voters: ["a", "b", "d"], outgoing: [] },
  });
  t.notOk(conversation.raft("c").isVoter);
  conversation.takeTranscript();
  conversation.propose("a", "x");
  t.notMatch(conversation.takeTranscript(), /-> (., )*c/);
});

t.test("a change of learners alone is one entry", async (t) => {
  const conversation = ledByFirst("a", "b");
  const says = listen(t, conversation);
  conversation.join("x");
  t.equal(conversation.change("a", ["b", "a"], ["x"]), "proposed");
  says(`
    x: follower of nobody, term 0
    x: commit 0
    a: is asked for b a ~x
    a: members b a ~x
    a -> b, x  append-request 2, behind 2/2: 3/2(b a ~x), commit 2
    b: members b a ~x
    x: follower of a, term 2
    a disk  term 2, vote a, 3/2(b a ~x)
    b disk  term 2, vote a, 3/2(b a ~x)
    b -> a  append-response 2, holds 3
    x disk  term 2, vote none, no entries
    x -> a  append-response 2, rejects 2, try 0/0
    a: commit 3
    a -> x  append-request 2, behind 0/0: 1/1(a b) 2/2 3/2(b a ~x), commit 3
    x: commit 3
    x: members b a ~x
    x disk  term 2, vote none, 1/1(a b) 2/2 3/2(b a ~x)
    x -> a  append-response 2, holds 3
  `);
  t.match(conversation.raft("a").peers, [
    { member: "b", match: 3, state: "replicate", isActive: true },
    { member: "x", match: 3, next: 4, state: "replicate", isActive: true },
  ]);
  t.equal(conversation.raft("b").peers, null);
});

t.test("changeConfiguration() says why it does nothing", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  t.equal(conversation.change("a", ["a"]), "not-leader");
  conversation.elect("a");
  t.equal(conversation.change("a", []), "invalid-configuration");
  t.equal(conversation.change("a", ["a", "a"]), "invalid-configuration");
  t.equal(conversation.change("a", ["a", "b"], ["b"]), "invalid-configuration");
  t.equal(conversation.change("a", ["a", ""]), "invalid-configuration");
  t.equal(conversation.change("a", ["c", "b", "a"]), "unchanged");
  conversation.cutOff("b", "c");
  t.equal(conversation.change("a", ["a", "b"]), "proposed");
  t.equal(conversation.change("a", ["a"]), "change-pending", "it is not committed");
  conversation.heal();
  conversation.run(100);
  t.equal(conversation.change("a", ["a", "b"]), "unchanged", "it is done");
  conversation.holdDisk("b");
  conversation.propose("a", "x");
  t.ok(conversation.transfer("a", "b"));
  t.equal(conversation.change("a", ["a"]), "transferring");
});

t.test("a leader that is voted out commits that, hands over and steps down", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  t.equal(conversation.change("a", ["b", "c"]), "proposed");
  says(`
    a: is asked for b c
    a: members b c -a -b -c
    a -> b, c  append-request 2, behind 2/2: 3/2(b c -a -b -c), commit 2
    b: members b c -a -b -c
    c: members b c -a -b -c
    a disk  term 2, vote a, 3/2(b c -a -b -c)
    b disk  term 2, vote a, 3/2(b c -a -b -c)
    b -> a  append-response 2, holds 3
    c disk  term 2, vote a, 3/2(b c -a -b -c)
    c -> a  append-response 2, holds 3
    a: commit 3
    a: members b c
    a -> b, c  append-request 2, behind 3/2: 4/2(b c), commit 3
    b: commit 3
    b: members b c
    c: commit 3
    c: members b c
    a disk  term 2, vote a, 4/2(b c)
    b disk  term 2, vote a, 4/2(b c)
    b -> a  append-response 2, holds 4
    c disk  term 2, vote a, 4/2(b c)
    c -> a  append-response 2, holds 4
    a: commit 4
    a -> b  timeout-now 2
    a -> b, c  heartbeat-request 2, commit 4, round 0
    b: candidate, term 3
    c: commit 4
    c -> a  heartbeat-response 2, round 0
    b disk  term 3, vote b, no entries
    b -> c  vote-request 3, log ends 4/2, transfer
    b -> a  heartbeat-response 3, round 0
    c: follower of nobody, term 3
    a: follower of nobody, term 3
    a disk  term 3, vote none, no entries
    c disk  term 3, vote b, no entries
    c -> b  vote-response 3, granted
    b: leader, term 3
    b -> c  heartbeat-request 3, commit 0, round 0
    b -> c  append-request 3, behind 4/2: 5/3, commit 3
    c: follower of b, term 3
    c -> b  heartbeat-response 3, round 0
    b disk  term 3, vote b, 5/3
    c disk  term 3, vote b, 5/3
    c -> b  append-response 3, holds 5
    b: commit 5
  `);
  t.match(conversation.raft("a"), {
    role: "follower",
    isVoter: false,
    configuration: { voters: ["b", "c"] },
  });
});

t.test("a leader that is voted out goes though nobody takes over, and does not come back", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.lose({ kind: "timeout-now" });
  conversation.change("a", ["b", "c"]);
  t.equal(conversation.raft("a").role, "leader");
  t.match(
    conversation.act("a", (raft) => raft.propose(new Uint8Array(1))),
    { kind: "refused", reason: "transferring" },
  );
  conversation.run(1000);
  t.equal(conversation.raft("a").role, "follower");
  conversation.run(10_000);
  t.match(conversation.raft("a"), { role: "follower", leader: null });
  t.ok(["b", "c"].some((id) => conversation.raft(id).role === "leader"));
});

t.test("a leader that becomes a learner hands over and follows", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.change("a", ["b", "c"], ["a"]);
  conversation.run(200);
  const leader = conversation.raft("a").leader ?? "nobody";
  t.ok(["b", "c"].includes(leader));
  conversation.propose(leader, "x");
  conversation.run(100);
  t.equal(conversation.raft("a").commitIndex, conversation.raft(leader).commitIndex);
});

for (const [who, ...out] of [
  ["the outgoing", "d", "e"],
  ["the incoming", "b", "c"],
] as const) {
  t.test(`${who} voters alone do not commit in a joint configuration`, async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    for (const id of ["d", "e"]) conversation.join(id);
    conversation.cutOff(...out);
    conversation.change("a", ["a", "d", "e"]);
    conversation.propose("a", "x");
    conversation.run(200);
    t.match(conversation.raft("a"), { commitIndex: 2, lastIndex: 4 });
    conversation.cutOff(out[0]);
    conversation.run(200);
    t.match(conversation.raft("a"), {
      commitIndex: 5,
      configuration: { voters: ["a", "d", "e"], outgoing: [] },
    });
  });
}

t.test("confirms a read in a joint configuration only with both majorities", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  for (const id of ["d", "e"]) conversation.join(id);
  // The joint configuration cannot be committed, so it is not left.
  conversation.lose({ kind: "append-response" });
  conversation.change("a", ["a", "d", "e"]);
  const only =
    (...ids: string[]) =>
    ({ kind, from, to }: { kind: string; from: string; to: string }) =>
      kind !== "append-response" && ids.includes(from) && ids.includes(to) ? "arrives" : "is lost";
  conversation.fate = only("a", "b", "c");
  conversation.read("a", 1);
  t.notMatch(conversation.takeTranscript(), /is good/);
  conversation.fate = only("a", "d", "e");
  conversation.read("a", 2);
  t.match(conversation.takeTranscript(), /a: read 1 is good at 2/, "each set has confirmed the first round");
  conversation.fate = only("a", "b", "c");
  conversation.read("a", 3);
  t.match(conversation.takeTranscript(), /a: read 2 is good at 2/);
});

t.test("a crash before the joint configuration is committed: it is rolled back with the log", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.cutOff("b", "c");
  conversation.change("a", ["a"]);
  t.match(conversation.raft("a").configuration, { voters: ["a"], outgoing: ["a", "b", "c"] });
  conversation.crash("a");
  conversation.heal();
  conversation.elect("b");
  conversation.restart("a");
  t.match(conversation.raft("a").configuration, { outgoing: ["a", "b", "c"] }, "in force, not committed");
  conversation.takeTranscript();
  conversation.run(100);
  says(`
    b -> a  heartbeat-request 3, commit 0, round 0
    b -> c  heartbeat-request 3, commit 3, round 0
    a: follower of b, term 3
    c -> b  heartbeat-response 3, round 0
    a disk  term 3, vote none, no entries
    a -> b  heartbeat-response 3, round 0
    b -> a  append-request 3, behind 2/2: 3/3, commit 3
    a: commit 3
    a disk  term 3, vote none, 3/3
    a -> b  append-response 3, holds 3
  `);
  t.same(conversation.raft("a").configuration, { voters: ["a", "b", "c"], outgoing: [], learners: [] });
});

t.test("a crash in the middle, and an old voter leads: it finishes the change", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  for (const id of ["d", "e"]) conversation.join(id);
  // The joint configuration is committed, and nobody hears more of this leader.
  conversation.fate = (message) =>
    message.kind === "append-request" && message.entries.some(({ index }) => index === 4)
      ? "is lost"
      : "arrives";
  conversation.change("a", ["a", "d", "e"]);
  conversation.crash("a");
  conversation.heal();
  conversation.takeTranscript();
  loseLeader(conversation, ["b", "c", "d", "e"]);
  says.last(`
    b: leader, term 3
    b -> a, d, e, c  heartbeat-request 3, commit 0, round 0
    b -> a, d, e, c  append-request 3, behind 3/2: 4/3, commit 2
    d: follower of b, term 3
    d -> b  heartbeat-response 3, round 0
    e: follower of b, term 3
    e -> b  heartbeat-response 3, round 0
    c: follower of b, term 3
    c -> b  heartbeat-response 3, round 0
    b disk  term 3, vote b, 4/3
    c disk  term 3, vote b, 4/3
    c -> b  append-response 3, holds 4
    d disk  term 3, vote b, 4/3
    d -> b  append-response 3, holds 4
    e disk  term 3, vote b, 4/3
    e -> b  append-response 3, holds 4
    b: commit 4
    b: members a d e
    b -> d, e, c  append-request 3, behind 4/3: 5/3(a d e), commit 4
    d: commit 4
    d: members a d e
    e: commit 4
    e: members a d e
    c: commit 4
    c: members a d e
    b disk  term 3, vote b, 5/3(a d e)
    c disk  term 3, vote b, 5/3(a d e)
    c -> b  append-response 3, holds 5
    d disk  term 3, vote b, 5/3(a d e)
    d -> b  append-response 3, holds 5
    e disk  term 3, vote b, 5/3(a d e)
    e -> b  append-response 3, holds 5
    b: commit 5
    b -> d  timeout-now 3
    b -> a  heartbeat-request 3, commit 0, round 0
    b -> d, e, c  heartbeat-request 3, commit 5, round 0
    d: candidate, term 4
    e: commit 5
    e -> b  heartbeat-response 3, round 0
    c: commit 5
    c -> b  heartbeat-response 3, round 0
    d disk  term 4, vote d, no entries
    d -> a, e  vote-request 4, log ends 5/3, transfer
    d -> b  heartbeat-response 4, round 0
    e: follower of nobody, term 4
    b: follower of nobody, term 4
    b disk  term 4, vote none, no entries
    e disk  term 4, vote d, no entries
    e -> d  vote-response 4, granted
    d: leader, term 4
    d -> a, e  heartbeat-request 4, commit 0, round 0
    d -> a, e  append-request 4, behind 5/3: 6/4, commit 4
    e: follower of d, term 4
    e -> d  heartbeat-response 4, round 0
    d disk  term 4, vote d, 6/4
    e disk  term 4, vote d, 6/4
    e -> d  append-response 4, holds 6
    d: commit 6
  `);
  t.same(conversation.raft("d").configuration, { voters: ["a", "d", "e"], outgoing: [], learners: [] });
});

t.test("a crash in the middle, and a new voter leads: it needs both majorities for that", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  for (const id of ["d", "e"]) conversation.join(id);
  conversation.fate = (message) =>
    message.kind === "append-request" && message.entries.some(({ index }) => index === 4)
      ? "is lost"
      : "arrives";
  conversation.change("a", ["a", "d", "e"]);
  conversation.crash("a");
  conversation.cutOff("b", "c");
  conversation.run(5000);
  t.notOk(
    ["d", "e"].some((id) => conversation.raft(id).role === "leader"),
    "without b and c, nobody leads",
  );
  conversation.heal();
  conversation.elect("d");
  t.match(conversation.raft("d"), {
    role: "leader",
    configuration: { voters: ["a", "d", "e"], outgoing: [] },
  });
  conversation.restart("a");
  conversation.run(200);
  t.match(conversation.raft("a").configuration, { voters: ["a", "d", "e"], outgoing: [] });
});

t.test("a new leader commits a configuration of an old term by an entry of its own", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.join("d");
  conversation.fate = ({ kind, from }) =>
    kind === "append-response" && from !== "d" ? "is lost" : "arrives";
  conversation.change("a", ["a", "b", "c", "d"]);
  conversation.crash("a");
  conversation.heal();
  conversation.takeTranscript();
  loseLeader(conversation, ["b", "c", "d"]);
  says.last(`
    b: leader, term 3
    b -> a, c, d  heartbeat-request 3, commit 0, round 0
    b -> a, c, d  append-request 3, behind 3/2: 4/3, commit 2
    c: follower of b, term 3
    c -> b  heartbeat-response 3, round 0
    d: follower of b, term 3
    d -> b  heartbeat-response 3, round 0
    b disk  term 3, vote b, 4/3
    c disk  term 3, vote b, 4/3
    c -> b  append-response 3, holds 4
    d disk  term 3, vote b, 4/3
    d -> b  append-response 3, holds 4
    b: commit 4
    b: members a b c d
    b -> c, d  append-request 3, behind 4/3: 5/3(a b c d), commit 4
    c: commit 4
    c: members a b c d
    d: commit 4
    d: members a b c d
    b disk  term 3, vote b, 5/3(a b c d)
    c disk  term 3, vote b, 5/3(a b c d)
    c -> b  append-response 3, holds 5
    d disk  term 3, vote b, 5/3(a b c d)
    d -> b  append-response 3, holds 5
    b: commit 5
  `);
});

t.test("one that is voted out campaigns while it alone may hold the entry that says so", async (t) => {
  // a leaves, and has made the entry that leaves the joint configuration; x needs a's vote, and has less.
  const joint = { voters: ["x"], outgoing: ["a"], learners: [] };
  const { entries } = bootstrapDisk(joint);
  const hardState = { term: 1, vote: null, commit: 1 };
  const last = {
    kind: "configuration",
    index: 2,
    term: 1,
    configuration: { ...joint, outgoing: [] },
  } as const;
  const conversation = new Conversation({
    members: { x: { entries, hardState }, a: { entries: [...entries, last], hardState } },
  });
  conversation.run(5000);
  t.match(conversation.raft("x"), { role: "leader", configuration: { voters: ["x"], outgoing: [] } });
  t.match(conversation.raft("a"), { role: "follower", isVoter: false });
});

t.test("one that is voted out for good disturbs nobody", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.cutOff("c");
  conversation.change("a", ["a", "b"]);
  conversation.run(10_000);
  conversation.heal();
  const { term } = conversation.raft("a");
  conversation.run(10_000);
  t.match(
    conversation.raft("a"),
    { role: "leader", term },
    "c has never heard that it is out, and asks for votes",
  );
});

t.test("leadership goes to a voter of the new configuration only", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.join("d");
  conversation.lose({ kind: "append-response", from: "d" });
  conversation.change("a", ["a", "d"]);
  t.match(conversation.raft("a").configuration, { voters: ["a", "d"], outgoing: ["a", "b", "c"] });
  t.notOk(conversation.transfer("a", "b"), "it is on its way out");
  t.ok(conversation.transfer("a", "d"));
  conversation.heal();
  conversation.run(200);
  t.equal(conversation.raft("a").leader, "d");
});

t.test("a learner that becomes a voter keeps its progress", async (t) => {
  const conversation = ledByFirst("a");
  conversation.join("b");
  conversation.change("a", ["a"], ["b"]);
  conversation.run(200);
  conversation.change("a", ["a", "b"]);
  t.match(conversation.raft("a"), { commitIndex: 5, configuration: { voters: ["a", "b"], outgoing: [] } });
  conversation.run(100);
  t.equal(conversation.raft("b").commitIndex, 5);
});

/** They hear that a is lost; the first one campaigns. */
function loseLeader(conversation: Conversation, ids: readonly string[]): void {
  for (const [rank, id] of ids.entries()) {
    conversation.leaderLost(id, "a", 10 + 500 * rank);
  }
  conversation.run(10);
}
