import t from "tap";
import { ledByFirst } from "./conversation.ts";
import { listen } from "./listen.ts";

t.test("read() is good when a quorum has heard of its round", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.cutOff("c");
  conversation.read("a", 1);
  says(`
    a: reads, 1
    a -> b  heartbeat-request 2, commit 2, round 1
    a -x c  heartbeat-request 2, commit 2, round 1
    b -> a  heartbeat-response 2, round 1
    a: read 1 is good at 2
  `);
});

t.test("read() of a lone voter is good at once", async (t) => {
  const conversation = ledByFirst("a");
  const says = listen(t, conversation);
  conversation.read("a", 1);
  says(`
    a: reads, 1
    a: read 1 is good at 2
  `);
});

t.test("read() waits for an entry of the own term to be committed", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.propose("a", "x");
  // b has "x", but does not know that it is committed; as the new leader it must find out first.
  conversation.lose({ kind: "append-request" });
  conversation.campaign("b");
  t.match(conversation.raft("b"), { role: "leader", commitIndex: 2 });
  conversation.takeTranscript();
  conversation.read("b", 1);
  says(`
    b: reads, 1
  `);
  conversation.heal();
  conversation.run(100);
  t.match(conversation.takeTranscript(), /b: read 1 is good at 4/);
});

t.test("reads that come together share one round", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.act("a", (raft) => [1, 2, 3].map((read) => raft.read(read)));
  says(`
    a -> b, c  heartbeat-request 2, commit 2, round 1
    b -> a  heartbeat-response 2, round 1
    c -> a  heartbeat-response 2, round 1
    a: read 1 is good at 2
    a: read 2 is good at 2
    a: read 3 is good at 2
  `);
});

t.test("a doubled answer to an old round does not release a newer read", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.cutOff("c");
  conversation.read("a", 1);
  conversation.cutOff("b", "c");
  conversation.read("a", 2);
  conversation.takeTranscript();
  conversation.inject({ kind: "heartbeat-response", from: "b", to: "a", term: 2, readContext: 1, sentMs: 0 });
  conversation.inject({ kind: "heartbeat-response", from: "b", to: "a", term: 2, readContext: 1, sentMs: 0 });
  says(`
    b late a, a  heartbeat-response 2, round 1
  `);
  conversation.inject({ kind: "heartbeat-response", from: "b", to: "a", term: 2, readContext: 2, sentMs: 0 });
  says(`
    b late a  heartbeat-response 2, round 2
    a: read 2 is good at 2
  `);
});

t.test("an answer that the network doubles counts once", async (t) => {
  const conversation = ledByFirst("a", "b", "c", "d", "e");
  const says = listen(t, conversation);
  conversation.fate = ({ from, to }) =>
    ["c", "d", "e"].some((id) => id === from || id === to) ? "is lost" : "arrives twice";
  conversation.read("a", 1);
  says(`
    a: reads, 1
    a => b  heartbeat-request 2, commit 2, round 1
    a -x c, d, e  heartbeat-request 2, commit 2, round 1
    b => a, a  heartbeat-response 2, round 1
  `);
});

t.test("a read that comes while a round is under way waits for the next one", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.hold({ kind: "heartbeat-response" });
  conversation.read("a", 1);
  conversation.read("a", 2);
  conversation.takeTranscript();
  conversation.release(([first, ...rest]) => (first === undefined ? [] : [first, first, ...rest]));
  says(`
    b late a  heartbeat-response 2, round 1
    a: read 1 is good at 2
    b late a  heartbeat-response 2, round 1
    c late a  heartbeat-response 2, round 1
    b late a  heartbeat-response 2, round 2
    a: read 2 is good at 2
    c late a  heartbeat-response 2, round 2
  `);
});

t.test("an answer to a round of an earlier term says nothing of the present one", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const says = listen(t, conversation);
  conversation.hold({ kind: "heartbeat-response" });
  conversation.read("a", 1);
  const answers = conversation.held;
  conversation.heal();
  conversation.elect("b");
  conversation.elect("a");
  conversation.cutOff("b", "c");
  conversation.read("a", 2);
  conversation.takeTranscript();
  for (const answer of answers) conversation.inject(answer);
  says(`
    b late a  heartbeat-response 2, round 1
    c late a  heartbeat-response 2, round 1
  `);
});

t.test("an old answer does not take back what a newer one has confirmed", async (t) => {
  const conversation = ledByFirst("a", "b", "c", "d", "e");
  conversation.cutOff("b", "c", "d", "e");
  conversation.read("a", 1);
  conversation.read("a", 2);
  conversation.takeTranscript();
  for (const [from, readContext] of [
    ["b", 2],
    ["b", 1],
    ["c", 2],
  ] as const) {
    conversation.inject({ kind: "heartbeat-response", from, to: "a", term: 2, readContext, sentMs: 0 });
  }
  t.match(conversation.takeTranscript(), /read 2 is good/);
});

t.test("reads of a leader that is cut off are aborted when it steps down", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.cutOff("a");
  conversation.read("a", 1);
  conversation.takeTranscript();
  // Meanwhile the others elect and commit: to answer from a would be stale.
  conversation.run(2000);
  t.equal(conversation.raft("b").role, "leader");
  t.match(conversation.takeTranscript(), /a: read 1 is aborted/);
  t.notOk(conversation.raft("a").read(2));
});

t.test("read() of a follower is refused", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  t.notOk(conversation.raft("b").read(1));
});
