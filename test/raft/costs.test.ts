import t from "tap";
import type { Message } from "../../agent/raft/messages.ts";
import { Conversation, ledByFirst } from "./conversation.ts";

t.test("a backlog of many small entries is committed at once", async (t) => {
  const conversation = ledByFirst("a", "b");
  conversation.crash("b");
  conversation.act("a", (raft) => {
    for (let nth = 0; nth < 100_000; nth++) raft.propose(new Uint8Array(1));
  });
  const { lastIndex } = conversation.raft("a");
  // Of this process alone: another one that is busy at the time says nothing.
  const before = process.cpuUsage();
  conversation.act("a", (raft) =>
    raft.step({ kind: "append-response", from: "b", to: "a", term: 2, index: lastIndex, hint: null }),
  );
  const { user, system } = process.cpuUsage(before);
  const tookMs = (user + system) / 1000;
  t.equal(conversation.raft("a").commitIndex, lastIndex);
  t.ok(tookMs < 400, `took ${tookMs} ms of the CPU`);
});

t.test("reads and commit notices do not repeat appends that are under way", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
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

t.test("a member whose disk hangs gathers one answer to each, not one for each question", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.holdDisk("b");
  conversation.propose("a", "x");
  conversation.run(60_000);
  t.equal(conversation.raft("a").role, "leader");
  t.equal(conversation.raft("b").leader, "a", "its heartbeats are answered meanwhile");
  const sent: Message[] = [];
  conversation.fate = (message) => {
    sent.push(message);
    return "arrives";
  };
  conversation.releaseDisk("b");
  t.same(
    sent.map(({ kind, from }) => `${kind} of ${from}`),
    ["append-response of b"],
  );
});

t.test("a candidate whose disk hangs gathers one request to each", async (t) => {
  const conversation = new Conversation({ members: ["a", "b", "c"], chance: { a: 0, b: 0.95, c: 0.95 } });
  conversation.holdDisk("a");
  conversation.run(1900);
  t.equal(conversation.raft("a").role, "candidate");
  const asked: string[] = [];
  conversation.fate = ({ kind, to }) => {
    if (kind === "vote-request") asked.push(to);
    return "arrives";
  };
  conversation.releaseDisk("a");
  t.same(asked, ["b", "c"]);
});
