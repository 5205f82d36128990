import t from "tap";
import { EntryLog } from "../../agent/raft/entry-log.ts";
import type { Message } from "../../agent/raft/messages.ts";
import { Pace } from "../../agent/raft/pace.ts";
import { Progress } from "../../agent/raft/progress.ts";
import { DEFAULT_RAFT_LIMITS } from "../../agent/raft/raft-limits.ts";
import { SignsOfLife } from "../../agent/raft/signs-of-life.ts";
import type { Entry } from "../../agent/raft/types.ts";
import { type Conversation, ELECTION_MAX_MS, ELECTION_MS, HEARTBEAT_MS, ledByFirst } from "./conversation.ts";

const CONFIGURED = { heartbeatMs: 100, electionMs: 1000, electionMaxMs: 10_000 };

t.test("Pace follows the median of the last writes, within its limits", async (t) => {
  const pace = new Pace(CONFIGURED);
  for (const ms of [5, 5, 5, 3000]) pace.wrote(ms);
  pace.follow(0);
  t.same(pace.timing, CONFIGURED, "one stall says nothing");
  for (let write = 0; write < 15; write++) pace.wrote(300);
  pace.follow(0);
  t.match(pace.timing, { electionMs: 3000, heartbeatMs: 300 });
  for (let write = 0; write < 15; write++) pace.wrote(30_000);
  pace.follow(0);
  t.match(pace.timing, { electionMs: 10_000, heartbeatMs: 1000 });
  for (let write = 0; write < 15; write++) pace.wrote(1);
  pace.follow(0);
  t.same(pace.timing, CONFIGURED);
});

t.test("Pace takes what the leader announces, and forgets it with the next word", async (t) => {
  const pace = new Pace(CONFIGURED);
  pace.follow(4000);
  t.equal(pace.timing.electionMs, 4000);
  pace.follow(1_000_000);
  t.equal(pace.timing.electionMs, 10_000);
  pace.follow(0);
  t.equal(pace.timing.electionMs, 1000);
});

t.test("Pace of a leader grows step by step, and falls at once", async (t) => {
  const pace = new Pace(CONFIGURED);
  const grown = Array.from({ length: 4 }, () => {
    pace.lead(200);
    return pace.timing.electionMs;
  });
  t.same(grown, [1250, 1562.5, 1953.125, 2000]);
  pace.lead(null);
  t.equal(pace.timing.electionMs, 2000, "not known: no reason to change");
  pace.lead(1);
  t.equal(pace.timing.electionMs, 1000);
});

t.test("Progress smooths round trips, and counts each answer once", async (t) => {
  const progress = new Progress({ next: 1, nowMs: 0, limits: DEFAULT_RAFT_LIMITS });
  t.equal(progress.rttMs, null);
  progress.echoed(1000, 1080);
  t.equal(progress.rttMs, 80);
  progress.echoed(1000, 90_000);
  progress.echoed(900, 90_000);
  progress.echoed(99_000, 90_000);
  t.equal(progress.rttMs, 80, "neither doubled, nor overtaken, nor of the future");
  progress.echoed(2000, 2160);
  t.equal(progress.rttMs, 90);
});

/** The round trip of these takes `ms`, in both directions together. */
function slowLinks(conversation: Conversation, ms: number, ...ids: readonly string[]): () => void {
  const waiting: { readonly atMs: number; readonly message: Message }[] = [];
  const isSlow = ({ from, to }: Message) => ids.includes(from) || ids.includes(to);
  const isDelivering = false;
  conversation.fate = (message) => {
    if (!isSlow(message) || isDelivering) return "arrives";
    waiting.push({ atMs: conversation.nowMs + ms / 2, message });
    return "is lost";
  };
  return () => {
    for (let first = waiting[0]; first && first.atMs <= conversation.nowMs; first = waiting[0]) {
      waiting.shift();
      conversation.inject(first.message);
    }
  };
}

t.test("timeouts follow the round trip to a quorum, on the leader and on its followers", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const deliver = slowLinks(conversation, 300, "b", "c");
  for (let ms = 0; ms < 10_000; ms += 10) {
    conversation.run(10);
    deliver();
  }
  t.match(conversation.raft("a"), { role: "leader", term: 2 });
  const { electionMs, heartbeatMs } = conversation.raft("a").timing;
  t.ok(electionMs >= 3000 && electionMs < 3300, `${electionMs} ms`);
  t.equal(heartbeatMs, electionMs / 10);
  t.equal(conversation.raft("b").timing.electionMs, Math.ceil(electionMs));
  const [b] = conversation.raft("a").peers ?? [];
  t.ok(b?.rttMs != null && b.rttMs >= 300 && b.rttMs < 330, `${b?.rttMs} ms`);
});

t.test("one slow member slows down nobody", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  const deliver = slowLinks(conversation, 600, "c");
  for (let ms = 0; ms < 5000; ms += 10) {
    conversation.run(10);
    deliver();
  }
  t.match(conversation.raft("a"), { role: "leader", term: 2, timing: { electionMs: ELECTION_MS } });
  t.equal(conversation.raft("c").leader, "a");
});

t.test("a follower with slow writes waits longer by itself", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  for (let nth = 0; nth < 15; nth++) {
    conversation.holdDisk("b");
    conversation.propose("a", "x");
    conversation.run(250);
    conversation.releaseDisk("b");
  }
  conversation.run(HEARTBEAT_MS);
  t.equal(conversation.raft("b").timing.electionMs, 2500);
  t.equal(conversation.raft("a").timing.electionMs, ELECTION_MS);
  t.ok(conversation.raft("b").timing.electionMs <= ELECTION_MAX_MS);
});

t.test("a leader whose disk hangs hands over, and follows", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.holdDisk("a");
  conversation.propose("a", "x");
  conversation.run(2 * ELECTION_MS - 1);
  t.equal(conversation.raft("a").role, "leader", "a stall of less than that is borne");
  conversation.takeTranscript();
  conversation.run(1);
  t.match(conversation.takeTranscript(), /a -> b {2}timeout-now 2/);
  t.match(conversation.raft("b"), { role: "leader", commitIndex: 4 });
  conversation.run(10_000);
  t.match(conversation.raft("a"), { role: "follower", leader: "b", applicableIndex: 2 });
  t.equal(conversation.raft("b").role, "leader");
  conversation.releaseDisk("a");
  conversation.run(HEARTBEAT_MS);
  t.equal(conversation.raft("a").applicableIndex, 4);
});

t.test("a leader whose disk hangs steps down though nobody takes over, and does not campaign", async (t) => {
  const conversation = ledByFirst("a", "b");
  conversation.holdDisk("a");
  conversation.propose("a", "x");
  conversation.lose({ kind: "timeout-now" });
  conversation.run(3 * ELECTION_MS);
  t.match(conversation.raft("a"), { role: "follower", term: 2 });
  conversation.cutOff("b");
  conversation.run(20_000);
  t.match(conversation.raft("a"), { role: "follower", term: 2 }, "its votes would wait for the disk");
  conversation.heal();
  conversation.releaseDisk("a");
  conversation.run(5000);
  t.ok(["a", "b"].some((id) => conversation.raft(id).role === "leader"));
});

t.test("a lone leader bears a hanging disk: there is nobody to hand over to", async (t) => {
  const conversation = ledByFirst("a");
  conversation.holdDisk("a");
  conversation.propose("a", "x");
  conversation.run(10_000);
  t.equal(conversation.raft("a").role, "leader");
  conversation.releaseDisk("a");
  t.equal(conversation.raft("a").commitIndex, 3);
});

t.test("SignsOfLife: behind a heartbeat only newer ones and new entries count", async (t) => {
  const signs = new SignsOfLife();
  const log = new EntryLog({ index: 0, term: 0 }, []);
  const header = { from: "a", to: "b", term: 1 };
  const heartbeat = (sentMs: number) =>
    signs.take(
      { ...header, kind: "heartbeat-request", commit: 0, readContext: 0, sentMs, electionMs: 1000 },
      log,
      0,
    );
  const append = (...entries: readonly Entry[]) =>
    signs.take(
      { ...header, kind: "append-request", previousIndex: 0, previousTerm: 0, entries, commit: 0 },
      log,
      0,
    );
  const entry: Entry = { kind: "noop", index: 1, term: 1 };
  t.ok(append());
  t.ok(append(), "before the first heartbeat, also what comes again");
  t.ok(heartbeat(5));
  t.notOk(heartbeat(5), "doubled");
  t.notOk(heartbeat(4), "overtaken");
  t.ok(heartbeat(6));
  t.notOk(append());
  t.ok(append(entry));
  log.append([entry]);
  t.notOk(append(entry), "it is here by now");
  signs.termBegins();
  t.ok(heartbeat(1), "another leader has another clock");
});
