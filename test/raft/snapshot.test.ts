import t from "tap";
import { Conversation, ledByFirst } from "./conversation.ts";
import { bootstrapDisk, diskOfTerms, type Store, votersOnly } from "./disk.ts";
import { listen } from "./listen.ts";

/** Three members; c missed what a has committed and forgotten since: 3/2"x" and 4/2"y". */
function behind(): { readonly conversation: Conversation; readonly snapshot: Store } {
  const conversation = ledByFirst("a", "b", "c");
  conversation.cutOff("c");
  for (const command of ["x", "y"]) conversation.propose("a", command);
  conversation.run(100);
  conversation.compact("a");
  conversation.heal();
  conversation.takeTranscript();
  return { conversation, snapshot: conversation.store("a") };
}

t.test("a follower behind the log fetches a snapshot, and then the entries behind it", async (t) => {
  const { conversation, snapshot } = behind();
  const says = listen(t, conversation);
  conversation.propose("a", "z");
  says(`
    a: proposes "z"
    a -> b, c  append-request 2, behind 4/2: 5/2"z", commit 4
    c -> a  append-response 2, rejects 4, try 2/2
    a -> c  snapshot-request 2, log begins behind 4/2
    c: needs a snapshot from a
    a disk  term 2, vote a, 5/2"z"
    b disk  term 2, vote a, 5/2"z"
    b -> a  append-response 2, holds 5
    a: commit 5
  `);
  conversation.run(100);
  says(`
    a -> b  heartbeat-request 2, commit 5, round 0
    a -> c  heartbeat-request 2, commit 2, round 0
    b: commit 5
    b -> a  heartbeat-response 2, round 0
    c -> a  heartbeat-response 2, round 0
    a -> c  snapshot-request 2, log begins behind 4/2
    c: needs a snapshot from a
  `);
  t.match(conversation.raft("a").peers, [
    { member: "b", state: "replicate" },
    { member: "c", match: 2, next: 3, state: "snapshot" },
  ]);
  conversation.holdDisk("c");
  t.ok(conversation.restore("c", snapshot));
  says(`
    c: installs the snapshot 4/2
    c: commit 4
  `);
  conversation.releaseDisk("c");
  says(`
    c disk  snapshot 4/2, term 2, vote a, no entries
    c -> a  append-response 2, holds 4
    a -> c  append-request 2, behind 4/2: 5/2"z", commit 5
    c: commit 5
    c disk  term 2, vote a, 5/2"z"
    c -> a  append-response 2, holds 5
  `);
  t.match(conversation.raft("c"), { base: { index: 4, term: 2 }, firstIndex: 5, lastIndex: 5 });
});

t.test("a snapshot in the middle of appends: nothing is acknowledged before all is durable", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.holdDisk("c");
  conversation.propose("a", "x");
  conversation.propose("a", "y");
  conversation.propose("a", "z");
  conversation.takeTranscript();
  // c holds up to 5 in memory, and nothing of it durably; a snapshot of 4 comes.
  const { configuration } = conversation.store("a");
  t.ok(conversation.restore("c", { index: 4, term: 2, configuration }));
  t.match(conversation.raft("c"), { base: { index: 4 }, lastIndex: 5, applicableIndex: 4 });
  says(`
    c: installs the snapshot 4/2
  `);
  conversation.persistOne("c");
  conversation.persistOne("c");
  conversation.persistOne("c");
  says(`
    c disk  term 2, vote a, 3/2"x"
    c -> a  append-response 2, holds 3
    c disk  term 2, vote a, 4/2"y"
    c -> a  append-response 2, holds 4
    c disk  term 2, vote a, 5/2"z"
    c -> a  append-response 2, holds 5
  `);
  conversation.releaseDisk("c");
  // What goes on behind the snapshot comes with it once more: what was on its way might have waited for room without end.
  says(`
    c disk  snapshot 4/2, term 2, vote a, 5/2"z"
    c -> a  append-response 2, holds 4
  `);
  t.match(conversation.disk("c"), { base: { index: 4, term: 2 }, entries: [{ index: 5 }] });
});

t.test("a snapshot makes void what is on its way to the disk before it", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.holdDisk("c");
  for (const command of ["x", "y", "z"]) conversation.propose("a", command);
  const { configuration } = conversation.store("a");
  t.ok(conversation.restore("c", { index: 4, term: 2, configuration }));
  conversation.takeTranscript();
  conversation.forgetVoidWrites("c");
  conversation.releaseDisk("c");
  says(`
    c disk  snapshot 4/2, term 2, vote a, 5/2"z"
    c -> a  append-response 2, holds 3
    c -> a  append-response 2, holds 4
    c -> a  append-response 2, holds 5
    c -> a  append-response 2, holds 4
  `);
  t.match(conversation.disk("c"), { base: { index: 4, term: 2 }, entries: [{ index: 5 }] });
});

t.test("a snapshot that replaces a log of another history takes its configurations along", async (t) => {
  const abc = votersOnly(["a", "b", "c"]);
  const stray = { kind: "configuration", index: 2, term: 2, configuration: votersOnly(["c"]) } as const;
  const leftover = { ...bootstrapDisk(abc), hardState: { term: 2, vote: null, commit: 1 } };
  const conversation = new Conversation({
    members: { c: { ...leftover, entries: [...leftover.entries, stray] } },
  });
  t.same(conversation.raft("c").configuration, votersOnly(["c"]));
  const snapshot = { index: 7, term: 4, configuration: { index: 1, configuration: abc } };
  t.ok(conversation.restore("c", snapshot));
  t.match(conversation.raft("c"), { term: 4, role: "follower", leader: null, lastIndex: 7, commitIndex: 7 });
  t.same(conversation.raft("c").configuration, abc);
  t.match(conversation.disk("c"), {
    base: { index: 7, term: 4 },
    entries: [],
    hardState: { term: 4, commit: 7 },
  });
});

t.test("the same snapshot again, and an older one, change nothing", async (t) => {
  const { conversation, snapshot } = behind();
  conversation.restore("c", snapshot);
  conversation.run(200);
  conversation.takeTranscript();
  const { configuration } = snapshot;
  t.notOk(conversation.act("c", (raft) => raft.restore(snapshot)));
  t.notOk(conversation.act("c", (raft) => raft.restore({ index: 2, term: 2, configuration })));
  t.match(conversation.raft("c"), { base: { index: 4 }, commitIndex: 4 });
  t.equal(conversation.takeTranscript(), "");
});

t.test("a request for a snapshot that comes late is answered by what is held", async (t) => {
  const { conversation, snapshot } = behind();
  const says = listen(t, conversation);
  conversation.hold({ kind: "snapshot-request" });
  conversation.propose("a", "z");
  conversation.run(100);
  conversation.restore("c", snapshot);
  conversation.run(100);
  conversation.takeTranscript();
  conversation.heal();
  conversation.release(([first]) => (first === undefined ? [] : [first]));
  says(`
    a late c  snapshot-request 2, log begins behind 4/2
    c -> a  append-response 2, holds 5
  `);
});

t.test("a snapshot older than the leader's log is not enough: the leader asks again", async (t) => {
  const { conversation, snapshot } = behind();
  conversation.propose("a", "z");
  conversation.run(100);
  conversation.compact("a");
  conversation.restore("c", snapshot);
  t.match(conversation.raft("a").peers, [{ member: "b" }, { member: "c", match: 4, state: "snapshot" }]);
  conversation.takeTranscript();
  conversation.run(100);
  t.match(conversation.takeTranscript(), /a -> c {2}snapshot-request 2, log begins behind 5\/2/);
  conversation.restore("c", conversation.store("a"));
  t.match(conversation.raft("a").peers, [{ member: "b" }, { member: "c", match: 5, state: "replicate" }]);
});

t.test("the leader changes while a snapshot is on its way: the new one goes on from there", async (t) => {
  const { conversation, snapshot } = behind();
  const says = listen(t, conversation);
  conversation.propose("a", "z");
  conversation.run(100);
  conversation.compact("b");
  conversation.crash("a");
  conversation.elect("b");
  conversation.propose("b", "w");
  conversation.takeTranscript();
  conversation.run(100);
  says(`
    b -> a, c  heartbeat-request 3, commit 0, round 0
    c -> b  heartbeat-response 3, round 0
    b -> c  snapshot-request 3, log begins behind 5/2
    c: needs a snapshot from b
  `);
  // The one of the old leader arrives; then one that reaches the new leader's log.
  t.ok(conversation.restore("c", snapshot));
  t.ok(conversation.restore("c", conversation.store("b")));
  conversation.run(100);
  t.match(conversation.raft("c"), { leader: "b", lastIndex: 7, commitIndex: 7 });
});

t.test("a snapshot that comes to a candidate ends its campaign", async (t) => {
  const { conversation, snapshot } = behind();
  conversation.cutOff("c");
  conversation.run(3000);
  t.match(conversation.raft("c"), { role: "pre-candidate", term: 2 });
  conversation.restore("c", snapshot);
  t.match(conversation.raft("c"), { role: "follower", term: 2, lastIndex: 4 });
});

t.test("a leader that was overtaken, and has not heard of it, may learn it from a snapshot", async (t) => {
  const configuration = votersOnly(["a", "b", "c"]);
  const disk = (terms: readonly number[]) => ({
    ...diskOfTerms(configuration, terms),
    hardState: { term: 2, vote: null, commit: 0 },
  });
  const conversation = new Conversation({ members: { a: disk([1]), b: disk([1]), c: disk([1, 2]) } });
  // As in figure 8: nobody but a gets 2/3, and c commits 2/2 with the first entry of its own term.
  conversation.lose({ kind: "append-request", from: "a" });
  conversation.campaign("a");
  t.match(conversation.raft("a"), { role: "leader", term: 3, lastIndex: 2 });
  conversation.heal();
  conversation.cutOff("a");
  conversation.campaign("c");
  conversation.run(100);
  t.match(conversation.raft("b"), { term: 4, commitIndex: 3 });
  t.equal(conversation.raft("a").role, "leader");
  const snapshot = { index: 2, term: 2, configuration: { index: 1, configuration } };
  t.ok(conversation.restore("a", snapshot));
  t.match(conversation.raft("a"), { role: "follower", leader: null, term: 3, commitIndex: 2, lastIndex: 2 });
  conversation.heal();
  conversation.run(1_000);
  t.match(conversation.raft("a"), { role: "follower", leader: "c", commitIndex: 3 });
});

t.test("an append from before the snapshot says only how far the follower has come", async (t) => {
  const { conversation, snapshot } = behind();
  const says = listen(t, conversation);
  conversation.restore("c", snapshot);
  conversation.takeTranscript();
  conversation.inject({
    ...{ kind: "append-request", from: "a", to: "c", term: 2 },
    ...{ previousIndex: 2, previousTerm: 2, entries: [{ kind: "noop", index: 3, term: 2 }], commit: 3 },
  });
  says(`
    a late c  append-request 2, behind 2/2: 3/2, commit 3
    c -> a  append-response 2, holds 4
  `);
});

t.test("what is committed elsewhere, learned before the snapshot, is taken up behind it", async (t) => {
  const { conversation, snapshot } = behind();
  conversation.act("c", (raft) => raft.learnCommitted({ index: 5, term: 2 }));
  conversation.act("c", (raft) => raft.learnCommitted({ index: 3, term: 2 }));
  conversation.restore("c", snapshot);
  t.equal(conversation.raft("c").commitIndex, 4);
  conversation.holdDisk("b");
  conversation.holdDisk("a");
  conversation.propose("a", "z");
  conversation.run(100);
  t.match(conversation.raft("a"), { commitIndex: 4 });
  t.match(conversation.raft("c"), { lastIndex: 5, commitIndex: 5 });
});

t.test("compact() keeps the configuration that it forgets the entry of", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.change("a", ["a", "b"]);
  conversation.run(100);
  for (const id of ["a", "b"]) conversation.compact(id);
  const { logBytes } = conversation.raft("a");
  t.equal(logBytes, 0);
  t.match(conversation.raft("a"), { firstIndex: 5, base: { index: 4, term: 2 }, configurationIndex: 4 });
  conversation.crash("b");
  conversation.crash("a");
  conversation.restart("a");
  conversation.restart("b");
  t.same(conversation.raft("b").configuration, votersOnly(["a", "b"]));
  conversation.elect("b");
  conversation.propose("b", "x");
  t.equal(conversation.raft("b").commitIndex, 6);
});

t.test(
  "a member that lost its databases votes and follows, and learns its configuration again",
  async (t) => {
    const { conversation } = behind();
    const disk = { ...conversation.disk("a") };
    delete disk.store;
    const other = new Conversation({ members: { a: disk, b: conversation.disk("b") } });
    t.match(other.raft("a"), {
      isVoter: false,
      configuration: { voters: [] },
      lastIndex: 4,
      applicableIndex: 4,
    });
    other.run(5000);
    t.equal(other.raft("b").role, "leader", "by the vote of a");
    t.notOk(
      other.act("a", (raft) => raft.restore(other.store("b"))),
      "the log needs nothing",
    );
    t.same(other.raft("a").configuration, votersOnly(["a", "b", "c"]));
  },
);
