import t from "tap";
import type { AppendRequest, Message } from "../../agent/raft/messages.ts";
import { DEFAULT_RAFT_LIMITS } from "../../agent/raft/raft-limits.ts";
import { Conversation, ledByFirst } from "./conversation.ts";
import { diskOfTerms, votersOnly } from "./disk.ts";
import { listen } from "./listen.ts";

t.test("replicates, commits at a majority, and tells of the commit within 20 ms", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.propose("a", "x");
  t.equal(conversation.raft("b").commitIndex, 2);
  conversation.run(20);
  says(`
    a: proposes "x"
    a -> b, c  append-request 2, behind 2/2: 3/2"x", commit 2
    a disk  term 2, vote a, 3/2"x"
    b disk  term 2, vote a, 3/2"x"
    b -> a  append-response 2, holds 3
    c disk  term 2, vote a, 3/2"x"
    c -> a  append-response 2, holds 3
    a: commit 3
    a -> b, c  heartbeat-request 2, commit 3, round 0
    b: commit 3
    b -> a  heartbeat-response 2, round 0
    c: commit 3
    c -> a  heartbeat-response 2, round 0
  `);
});

t.test("tells of the commit with the next append, if one comes first", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.propose("a", "x");
  conversation.takeTranscript();
  conversation.propose("a", "y");
  says(`
    a: proposes "y"
    a -> b, c  append-request 2, behind 3/2: 4/2"y", commit 3
    b: commit 3
    c: commit 3
    a disk  term 2, vote a, 4/2"y"
    b disk  term 2, vote a, 4/2"y"
    b -> a  append-response 2, holds 4
    c disk  term 2, vote a, 4/2"y"
    c -> a  append-response 2, holds 4
    a: commit 4
  `);
});

t.test("a burst of proposals is one append and one write", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.act("a", (raft) => {
    for (const command of ["x", "y", "z"]) raft.propose(Buffer.from(command));
  });
  says(`
    a -> b, c  append-request 2, behind 2/2: 3/2"x" 4/2"y" 5/2"z", commit 2
    a disk  term 2, vote a, 3/2"x" 4/2"y" 5/2"z"
    b disk  term 2, vote a, 3/2"x" 4/2"y" 5/2"z"
    b -> a  append-response 2, holds 5
    c disk  term 2, vote a, 3/2"x" 4/2"y" 5/2"z"
    c -> a  append-response 2, holds 5
    a: commit 5
  `);
});

t.test(
  "a follower commits only what the append vouches for, not what an older leader left behind it",
  async (t) => {
    const abc = votersOnly(["a", "b", "c"]);
    const disk = diskOfTerms(abc, [1, 2, 2]);
    const conversation = new Conversation({ members: { a: disk, b: disk, c: disk } });
    const fromLeader = {
      kind: "append-request",
      from: "a",
      to: "c",
      term: 3,
      previousIndex: 1,
      previousTerm: 1,
    } as const;
    conversation.inject({ ...fromLeader, entries: [], commit: 3 });
    t.equal(conversation.raft("c").commitIndex, 1);
    conversation.inject({ ...fromLeader, entries: [{ kind: "noop", index: 2, term: 3 }], commit: 3 });
    t.match(conversation.raft("c"), { commitIndex: 2, lastIndex: 2 });
  },
);

t.test("a doubled append is acknowledged no sooner than the first", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.hold({ kind: "append-request", to: "c" });
  conversation.propose("a", "x");
  conversation.run(20);
  const [append] = conversation.held;
  conversation.heal();
  conversation.holdDisk("c");
  if (append !== undefined) conversation.inject({ ...append, commit: 3 } as AppendRequest);
  t.match(conversation.raft("c"), { commitIndex: 3, applicableIndex: 2 });
  conversation.takeTranscript();
  if (append !== undefined) conversation.inject(append);
  t.notMatch(conversation.takeTranscript(), /append-response/);
  conversation.releaseDisk("c");
  t.match(conversation.takeTranscript(), /c -> a {2}append-response 2, holds 3/);
});

t.test("a lost append is noticed by the next one", async (t) => {
  const conversation = ledByFirst("a", "b");
  const says = listen(t, conversation);
  conversation.lose({ kind: "append-request" });
  conversation.propose("a", "x");
  conversation.heal();
  conversation.propose("a", "y");
  says(`
    a: proposes "x"
    a -x b  append-request 2, behind 2/2: 3/2"x", commit 2
    a disk  term 2, vote a, 3/2"x"
    a: proposes "y"
    a -> b  append-request 2, behind 3/2: 4/2"y", commit 2
    b -> a  append-response 2, rejects 3, try 2/2
    a -> b  append-request 2, behind 2/2: 3/2"x" 4/2"y", commit 2
    a disk  term 2, vote a, 4/2"y"
    b disk  term 2, vote a, 3/2"x" 4/2"y"
    b -> a  append-response 2, holds 4
    a: commit 4
  `);
});

t.test("a lost last append is repaired by the heartbeat", async (t) => {
  const conversation = ledByFirst("a", "b");
  const says = listen(t, conversation);
  conversation.lose({ kind: "append-request" });
  conversation.propose("a", "x");
  conversation.heal();
  conversation.run(100);
  says(`
    a: proposes "x"
    a -x b  append-request 2, behind 2/2: 3/2"x", commit 2
    a disk  term 2, vote a, 3/2"x"
    a -> b  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    a -> b  append-request 2, behind 3/2: no entries, commit 2
    b -> a  append-response 2, rejects 3, try 2/2
    a -> b  append-request 2, behind 2/2: 3/2"x", commit 2
    b disk  term 2, vote a, 3/2"x"
    b -> a  append-response 2, holds 3
    a: commit 3
    a -> b  heartbeat-request 2, commit 3, round 0
    b: commit 3
    b -> a  heartbeat-response 2, round 0
  `);
});

t.test("a lost answer is repaired by the heartbeat, without sending the entry again", async (t) => {
  const conversation = ledByFirst("a", "b");
  const says = listen(t, conversation);
  conversation.lose({ kind: "append-response" });
  conversation.propose("a", "x");
  conversation.heal();
  conversation.takeTranscript();
  conversation.run(100);
  says(`
    a -> b  heartbeat-request 2, commit 2, round 0
    b -> a  heartbeat-response 2, round 0
    a -> b  append-request 2, behind 3/2: no entries, commit 2
    b -> a  append-response 2, holds 3
    a: commit 3
    a -> b  heartbeat-request 2, commit 3, round 0
    b: commit 3
    b -> a  heartbeat-response 2, round 0
  `);
});

t.test("reordered and doubled appends leave the same log as those in order", async (t) => {
  const conversation = ledByFirst("a", "b");
  const says = listen(t, conversation);
  conversation.hold({ kind: "append-request" });
  for (const command of ["x", "y", "z"]) conversation.propose("a", command);
  conversation.heal();
  conversation.takeTranscript();
  conversation.release((held) => [...held, ...held].reverse());
  says(`
    a late b  append-request 2, behind 4/2: 5/2"z", commit 2
    b -> a  append-response 2, rejects 4, try 2/2
    a -> b  append-request 2, behind 2/2: 3/2"x" 4/2"y" 5/2"z", commit 2
    b disk  term 2, vote a, 3/2"x" 4/2"y" 5/2"z"
    b -> a  append-response 2, holds 5
    a: commit 5
    a late b  append-request 2, behind 3/2: 4/2"y", commit 2
    b -> a  append-response 2, holds 4
    a late b  append-request 2, behind 2/2: 3/2"x", commit 2
    b -> a  append-response 2, holds 3
    a late b  append-request 2, behind 4/2: 5/2"z", commit 2
    b -> a  append-response 2, holds 5
    a late b  append-request 2, behind 3/2: 4/2"y", commit 2
    b -> a  append-response 2, holds 4
    a late b  append-request 2, behind 2/2: 3/2"x", commit 2
    b -> a  append-response 2, holds 3
  `);
  t.same(conversation.disk("b").entries, conversation.disk("a").entries);
});

t.test("a late append of the same term cuts nothing", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.hold({ kind: "append-request", to: "b" });
  conversation.propose("a", "x");
  const late = conversation.held;
  conversation.heal();
  conversation.propose("a", "y");
  conversation.run(100);
  t.equal(conversation.raft("b").lastIndex, 4);
  for (const message of late) conversation.inject(message);
  t.equal(conversation.raft("b").lastIndex, 4);
  t.equal(conversation.disk("b").entries.length, 4);
});

t.test("the window bounds what is under way, in messages and in bytes", async (t) => {
  const { inFlightMessagesMax, inFlightBytesMax } = DEFAULT_RAFT_LIMITS;
  const conversation = ledByFirst("a", "b");
  conversation.lose({ kind: "append-response" });
  const sent = watchAppends(conversation);
  for (let nth = 0; nth < 2 * inFlightMessagesMax; nth++)
    conversation.act("a", (raft) => raft.propose(bytes(1)));
  t.equal(sent.length, inFlightMessagesMax);
  t.equal(conversation.raft("a").lastIndex, 2 + 2 * inFlightMessagesMax);
  conversation.heal();
  conversation.run(200);
  t.equal(conversation.raft("a").commitIndex, conversation.raft("a").lastIndex, "and it opens again");

  conversation.lose({ kind: "append-response" });
  const large = watchAppends(conversation);
  const size = 40 * 1024;
  for (let nth = 0; nth < 64; nth++) conversation.act("a", (raft) => raft.propose(bytes(size)));
  t.equal(large.length, Math.ceil(inFlightBytesMax / (size + 32)));
  t.ok(
    large.every(({ entries }) => entries.length === 1),
    "two do not fit one datagram",
  );
});

t.test("a proposal beyond what may wait for its commit is refused", async (t) => {
  const conversation = ledByFirst("a", "b");
  conversation.crash("b");
  const propose = () => conversation.act("a", (raft) => raft.propose(bytes(1024 * 1024)));
  for (let nth = 0; nth < 16; nth++) t.equal(propose().kind, "proposed");
  t.same(propose(), { kind: "refused", reason: "overloaded" });
  conversation.restart("b");
  conversation.run(400);
  t.equal(propose().kind, "proposed");
});

t.test("a proposal to a follower is refused", async (t) => {
  const conversation = ledByFirst("a", "b");
  t.same(conversation.raft("b").propose(bytes(1)), { kind: "refused", reason: "not-leader" });
});

function bytes(length: number): Uint8Array {
  return new Uint8Array(length);
}

/** The appends with entries that are sent from now on. */
function watchAppends(conversation: Conversation): readonly AppendRequest[] {
  const sent: AppendRequest[] = [];
  const { fate } = conversation;
  conversation.fate = (message: Message) => {
    if (message.kind === "append-request" && message.entries.length > 0) sent.push(message);
    return fate(message);
  };
  return sent;
}
