import t from "tap";
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
