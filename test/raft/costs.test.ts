import t from "tap";
import type { Message } from "../../agent/raft/messages.ts";
import { Conversation } from "./conversation.ts";

t.test("a backlog of many small entries is committed at once", async (t) => {
  const conversation = new Conversation({ members: ["a", "b"] });
  conversation.elect("a");
  conversation.crash("b");
  conversation.act("a", (raft) => {
    for (let nth = 0; nth < 100_000; nth++) raft.propose(new Uint8Array(1));
  });
  const { lastIndex } = conversation.raft("a");
  const startMs = performance.now();
  conversation.act("a", (raft) =>
    raft.step({ kind: "append-response", from: "b", to: "a", term: 2, index: lastIndex, hint: null }),
  );
  const tookMs = performance.now() - startMs;
  t.equal(conversation.raft("a").commitIndex, lastIndex);
  t.ok(tookMs < 400, `took ${tookMs} ms`);
});

t.test("reads and commit notices do not repeat appends that are under way", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"] });
  conversation.elect("a");
  conversation.holdDisk("c");
  conversation.propose("a", "x");
  const sent: Message[] = [];
  conversation.fate = (message) => {
    if (message.kind === "append-request" && message.to === "c") sent.push(message);
    return "arrives";
  };
  for (let read = 0; read < 100; read++) conversation.read("a", read);
  conversation.run(500);
  t.ok(sent.length <= 6, `${sent.length} in five heartbeats`);
  t.ok(sent.length >= 2, "but it is asked again, in case it was lost");
});
