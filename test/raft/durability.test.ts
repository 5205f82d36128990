import t from "tap";
import type { Entry } from "../../agent/raft/types.ts";
import { Conversation, ledByFirst } from "./conversation.ts";
import { listen } from "./listen.ts";

t.test("a leader sends before its own write is durable, and counts itself only after it", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.cutOff("c");
  conversation.holdDisk("a");
  conversation.propose("a", "x");
  says(`
    a: proposes "x"
    a -> b  append-request 2, behind 2/2: 3/2"x", commit 2
    a -x c  append-request 2, behind 2/2: 3/2"x", commit 2
    b disk  term 2, vote a, 3/2"x"
    b -> a  append-response 2, holds 3
  `);
  conversation.releaseDisk("a");
  says(`
    a disk  term 2, vote a, 3/2"x"
    a: commit 3
  `);
});

t.test(
  "two followers commit without the disk of the leader, but it applies nothing that it could lose",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    conversation.holdDisk("a");
    conversation.propose("a", "x");
    t.match(conversation.raft("a"), { commitIndex: 3, applicableIndex: 2 });
    conversation.releaseDisk("a");
    t.equal(conversation.raft("a").applicableIndex, 3);
  },
);

t.test(
  "a member holds an entry once it is durable there, also before it knows that it is committed",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    const holds = (member: string, term = 2): boolean => conversation.raft(member).holds({ index: 3, term });
    conversation.cutOff("c");
    conversation.holdDisk("a");
    conversation.propose("a", "x");
    t.notOk(holds("a"), "it is on its way to the disk");
    t.equal(conversation.raft("b").commitIndex, 2);
    t.ok(holds("b"));
    t.notOk(holds("b", 3), "that would be another one");
    t.notOk(holds("c"));
    conversation.releaseDisk("a");
    t.ok(holds("a"));
  },
);

t.test("an append is answered when it is durable, a heartbeat at once", async (t) => {
  const conversation = ledByFirst("a", "b");
  const says = listen(t, conversation);
  conversation.holdDisk("b");
  conversation.propose("a", "x");
  conversation.run(20);
  conversation.read("a", 1);
  says(`
    a: proposes "x"
    a -> b  append-request 2, behind 2/2: 3/2"x", commit 2
    a disk  term 2, vote a, 3/2"x"
    a -> b  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    a -> b  append-request 2, behind 3/2: no entries, commit 2
    a: reads, 1
    a -> b  heartbeat-request 2, commit 2, round 1
    b -> a  heartbeat-response 2, round 1
    a: read 1 is good at 2
  `);
  conversation.releaseDisk("b");
  says(`
    b disk  term 2, vote a, 3/2"x"
    b -> a  append-response 2, holds 3
    a: commit 3
  `);
});

t.test("a vote leaves when it is durable, and asks for votes when its own vote is", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  const says = listen(t, conversation);
  for (const id of ["a", "b", "c"]) conversation.holdDisk(id);
  conversation.run(1000);
  says(`
    a: pre-candidate, term 1
    a -> b, c  pre-vote-request 2, log ends 1/1
    b -> a  pre-vote-response 2, granted
    c -> a  pre-vote-response 2, granted
    a: candidate, term 2
  `);
  conversation.persistOne("a");
  says(`
    a disk  term 2, vote a, no entries
    a -> b, c  vote-request 2, log ends 1/1
    b: follower of nobody, term 2
    c: follower of nobody, term 2
  `);
  conversation.persistOne("b");
  says(`
    b disk  term 2, vote a, no entries
    b -> a  vote-response 2, granted
    a: leader, term 2
    a -> b, c  heartbeat-request 2, commit 0, round 0
    a -> b, c  append-request 2, behind 1/1: 2/2, commit 0
    b: follower of a, term 2
    b -> a  heartbeat-response 2, round 0
    c: follower of a, term 2
  `);
});

t.test("a candidate asks for votes when the log is durable that it asks for", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.holdDisk("b");
  conversation.propose("a", "x");
  conversation.crash("a");
  conversation.leaderLost("c", "a", 500);
  conversation.takeTranscript();
  conversation.leaderLost("b", "a", 0);
  says(`
    b: pre-candidate, term 2
    b -> a, c  pre-vote-request 3, log ends 3/2
    c -> b  pre-vote-response 3, granted
    b: candidate, term 3
  `);
  // The first of the two writes holds the entry, the second the vote.
  conversation.persistOne("b");
  says(`
    b disk  term 2, vote a, 3/2"x"
    b -> a  append-response 2, holds 3
  `);
  conversation.persistOne("b");
  says.first(`
    b disk  term 3, vote b, no entries
    b -> a, c  vote-request 3, log ends 3/2
    c: follower of nobody, term 3
    c disk  term 3, vote b, no entries
    c -> b  vote-response 3, granted
    b: leader, term 3
  `);
});

t.test("what was not durable is gone after a crash, and nobody was told otherwise", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.holdDisk("b");
  conversation.propose("a", "x");
  t.equal(conversation.raft("b").lastIndex, 3);
  conversation.crash("b");
  conversation.takeTranscript();
  conversation.restart("b");
  t.equal(conversation.raft("b").lastIndex, 2);
  conversation.run(100);
  says(`
    b: starts
    b: follower of nobody, term 2
    b: commit 0
    a -> b  heartbeat-request 2, commit 2, round 0
    a -> c  heartbeat-request 2, commit 3, round 0
    b: follower of a, term 2
    b: commit 2
    b -> a  heartbeat-response 2, round 0
    c: commit 3
    c -> a  heartbeat-response 2, round 0
    a -> b  append-request 2, behind 3/2: no entries, commit 3
    b -> a  append-response 2, rejects 3, try 2/2
    a -> b  append-request 2, behind 2/2: 3/2"x", commit 3
    b: commit 3
  `);
  conversation.releaseDisk("b");
  t.equal(conversation.disk("b").entries.length, 3);
});

t.test(
  "answers for an old term leave in order when the term changes while writes are under way",
  async (t) => {
    const conversation = ledByFirst("a", "b", "c");
    const says = listen(t, conversation);
    conversation.holdDisk("c");
    conversation.propose("a", "x");
    // b takes over while the write of "x" is under way on c, and c votes for it.
    conversation.campaign("b");
    conversation.takeTranscript();
    conversation.persistOne("c");
    says(`
    c disk  term 2, vote a, 3/2"x"
    c -> a  append-response 2, holds 3
  `);
    conversation.persistOne("c");
    says(`
    c disk  term 3, vote b, no entries
    c -> b  vote-response 3, granted
    c -> b  heartbeat-response 3, round 0
  `);
  },
);

t.test("an entry that is replaced before it is durable is not taken for durable", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.cutOff("a");
  conversation.holdDisk("a");
  conversation.propose("a", "lost");
  conversation.run(1500);
  t.equal(conversation.raft("b").role, "leader");
  conversation.takeTranscript();
  // While its write of "lost" is under way, a hears of what b has put in its place.
  conversation.inject({
    kind: "append-request",
    from: "b",
    to: "a",
    term: 3,
    previousIndex: 2,
    previousTerm: 2,
    entries: conversation.raft("b").entries(3, 3, 1000),
    commit: 3,
  });
  conversation.heal();
  t.match(conversation.raft("a"), { commitIndex: 3, applicableIndex: 2 });
  conversation.persistOne("a");
  t.equal(conversation.raft("a").applicableIndex, 2, "only what was replaced is durable");
  conversation.persistOne("a");
  t.equal(conversation.raft("a").applicableIndex, 3);
  says(`
    b late a  append-request 3, behind 2/2: 3/3, commit 3
    a: follower of b, term 3
    a: commit 3
    a disk  term 2, vote a, 3/2"lost"
    a disk  term 3, vote none, 3/3
    a -> b  append-response 3, holds 3
  `);
});

t.test("the commit index that is written speaks of entries that are durable already", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.cutOff("c");
  conversation.propose("a", "x");
  conversation.heal();
  // c gets the entry and the news that it is committed at once, and both go into one write.
  conversation.run(200);
  t.equal(conversation.raft("c").commitIndex, 3);
  t.match(conversation.disk("c"), { entries: { length: 3 }, hardState: { commit: 2 } });
});

t.test("an entry that was cut off and came back is durable with the write that brings it back", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.holdDisk("b");
  const { lastIndex: previousIndex, term: previousTerm } = conversation.raft("b");
  const index = previousIndex + 1;
  const append = (from: string, term: number, entryTerm: number, commit: number) =>
    conversation.act("b", (raft) => {
      const entries: Entry[] = [{ kind: "noop", index, term: entryTerm }];
      raft.step({
        kind: "append-request",
        from,
        to: "b",
        term,
        previousIndex,
        previousTerm,
        entries,
        commit,
      });
    });
  conversation.fate = () => "is lost";
  append("a", 2, 2, previousIndex);
  append("c", 3, 3, previousIndex);
  append("a", 4, 2, index);
  t.equal(conversation.raft("b").commitIndex, index);
  conversation.persistOne("b");
  t.equal(conversation.raft("b").applicableIndex, previousIndex, "the next write cuts it off again");
  conversation.persistOne("b");
  t.equal(conversation.raft("b").applicableIndex, previousIndex, "the disk holds another entry");
  conversation.persistOne("b");
  t.equal(conversation.raft("b").applicableIndex, index);
});

t.test(
  "a vote leaves when it is durable, though entries before it wait; their answer does not",
  async (t) => {
    const conversation = new Conversation({ members: ["a", "b", "c"] });
    conversation.elect("a");
    conversation.act("b", (raft) => {
      const { lastIndex: previousIndex, term } = raft;
      const entries: Entry[] = [{ kind: "noop", index: previousIndex + 1, term }];
      const place = { previousIndex, previousTerm: term, entries, commit: previousIndex };
      raft.step({ kind: "append-request", from: "a", to: "b", term, ...place });
      const first = raft.takeEffects().write;
      const log = { lastIndex: previousIndex + 1, lastTerm: term };
      raft.step({ kind: "vote-request", from: "c", to: "b", term: term + 1, ...log, transfer: true });
      const second = raft.takeEffects();
      t.strictSame(second.messages, [], "both wait");
      raft.hardStatePersisted(second.write?.sequence ?? 0);
      t.match(raft.takeEffects().messages, [{ kind: "vote-response", to: "c", granted: true }]);
      t.equal(raft.applicableIndex, previousIndex);
      raft.persisted(first?.sequence ?? 0);
      raft.persisted(second.write?.sequence ?? 0);
      const [answer, ...others] = raft.takeEffects().messages;
      t.match(answer, { kind: "append-response", to: "a", index: previousIndex + 1 });
      t.strictSame(others, [], "the vote is not given twice");
    });
  },
);
