import t from "tap";
import { ConfigurationHistory } from "../../agent/raft/configuration-history.ts";
import { EntryLog } from "../../agent/raft/entry-log.ts";
import { Progress } from "../../agent/raft/progress.ts";
import { blocksQuorum, hasQuorum, membersOf, quorumWatermark, votersOf } from "../../agent/raft/quorum.ts";
import { DEFAULT_RAFT_LIMITS } from "../../agent/raft/raft-limits.ts";
import {
  type Configuration,
  EMPTY_CONFIGURATION,
  type Entry,
  NO_CONFIGURATION,
} from "../../agent/raft/types.ts";
import { chanceFrom } from "./chance.ts";
import { Conversation, ledByFirst } from "./conversation.ts";
import { bootstrapDisk, diskOfTerms, votersOnly } from "./disk.ts";

const JOINT: Configuration = { voters: ["a", "b", "c"], outgoing: ["c", "d", "e"], learners: ["x"] };

t.test(
  "hasQuorum() takes more than half, and of a joint configuration more than half of each set",
  async (t) => {
    const agrees = (configuration: Configuration, ...members: string[]) =>
      hasQuorum(configuration, (member) => members.includes(member));
    t.notOk(agrees(votersOnly(["a", "b"]), "a"));
    t.ok(agrees(votersOnly(["a", "b"]), "a", "b"));
    t.ok(agrees(votersOnly(["a", "b", "c"]), "a", "c"));
    t.notOk(agrees(votersOnly(["a", "b", "c", "d"]), "a", "b"));
    t.notOk(agrees(JOINT, "a", "b", "c"));
    t.notOk(agrees(JOINT, "c", "d", "e"));
    t.ok(agrees(JOINT, "a", "c", "d"));
    t.notOk(agrees(JOINT, "a", "x", "d"));
  },
);

t.test("a configuration without voters decides nothing", async (t) => {
  t.notOk(hasQuorum(EMPTY_CONFIGURATION, () => true));
  t.equal(
    quorumWatermark(EMPTY_CONFIGURATION, () => 7),
    0,
  );
  t.equal(
    quorumWatermark({ ...JOINT, voters: [] }, () => 7),
    0,
  );
});

t.test("quorumWatermark() is the highest value that hasQuorum() agrees to, for any values", async (t) => {
  const chance = chanceFrom(1);
  for (const configuration of [
    JOINT,
    votersOnly(["a"]),
    votersOnly(["a", "b", "c", "d"]),
    votersOnly(["a", "b", "c"]),
  ]) {
    for (let round = 0; round < 200; round++) {
      const values = new Map([..."abcdex"].map((member) => [member, chance.below(6)]));
      const valueAt = (member: string) => values.get(member) ?? 0;
      const reached = [0, 1, 2, 3, 4, 5, 6].filter((value) =>
        hasQuorum(configuration, (id) => valueAt(id) >= value),
      );
      if (quorumWatermark(configuration, valueAt) !== reached.at(-1)) t.fail(`not for ${[...values]}`);
    }
  }
});

t.test("blocksQuorum() is true as soon as the rest is too few", async (t) => {
  const four = votersOnly(["a", "b", "c", "d"]);
  t.notOk(blocksQuorum(four, (member) => member === "a"));
  t.ok(blocksQuorum(four, (member) => member === "a" || member === "b"));
  t.ok(blocksQuorum(JOINT, (member) => member === "d" || member === "e"));
  t.notOk(blocksQuorum(JOINT, (member) => member === "a" || member === "d" || member === "x"));
});

t.test("votersOf() and membersOf() name each once", async (t) => {
  t.same([...votersOf(JOINT)], ["a", "b", "c", "d", "e"]);
  t.same([...membersOf(JOINT)], ["a", "b", "c", "d", "e", "x"]);
});

t.test("ConfigurationHistory falls back to what stands before the cut", async (t) => {
  const history = new ConfigurationHistory(NO_CONFIGURATION);
  const entry = (index: number, configuration: Configuration): Entry => ({
    kind: "configuration",
    index,
    term: 1,
    configuration,
  });
  t.same(history.current, EMPTY_CONFIGURATION);
  history.append([entry(1, votersOnly(["a"])), { kind: "noop", index: 2, term: 1 }, entry(3, JOINT)]);
  t.equal(history.index, 3);
  history.truncate(4);
  t.equal(history.current, JOINT);
  history.truncate(2);
  t.same(history.current, votersOnly(["a"]));
  history.truncate(1);
  t.same(history.current, EMPTY_CONFIGURATION);
});

t.test("a configuration is in force from the log, and is rolled back with it", async (t) => {
  const old = votersOnly(["a", "b", "c"]);
  const disk = bootstrapDisk(old);
  const conversation = new Conversation({ members: { a: disk, b: disk, c: disk } });
  const next = votersOnly(["a", "b"]);
  conversation.inject({
    kind: "append-request",
    from: "a",
    to: "c",
    term: 2,
    previousIndex: 1,
    previousTerm: 1,
    entries: [{ kind: "configuration", index: 2, term: 2, configuration: next }],
    commit: 0,
  });
  t.same(conversation.raft("c").configuration, next);
  t.notOk(conversation.raft("c").isVoter);
  conversation.crash("c");
  conversation.restart("c");
  t.same(conversation.raft("c").configuration, next, "after a crash, too");
  conversation.inject({
    kind: "append-request",
    from: "b",
    to: "c",
    term: 3,
    previousIndex: 1,
    previousTerm: 1,
    entries: [{ kind: "noop", index: 2, term: 3 }],
    commit: 0,
  });
  t.same(conversation.raft("c").configuration, old);
  t.ok(conversation.raft("c").isVoter);
});

t.test("EntryLog.slice() gives what fits, and at least one", async (t) => {
  const entries = [1, 2, 3].map(
    (index): Entry => ({
      kind: "command",
      index,
      term: 1,
      command: new Uint8Array(68),
    }),
  );
  const log = new EntryLog({ index: 0, term: 0 }, entries);
  t.equal(log.slice(1, 3, 1).length, 1);
  t.equal(log.slice(1, 3, 199).length, 1);
  t.equal(log.slice(1, 3, 200).length, 2);
  t.equal(log.slice(2, 99).length, 2);
  t.equal(log.slice(4, 99).length, 0);
  t.throws(() => log.append([{ kind: "noop", index: 5, term: 1 }]), /gap/);
  t.throws(() => log.append([{ kind: "noop", index: 4, term: 0 }]), /term below/);
});

t.test("EntryLog.lastIndexWithin() skips the terms that the other cannot have", async (t) => {
  const log = new EntryLog({ index: 0, term: 0 }, diskOfTerms(EMPTY_CONFIGURATION, [1, 1, 4, 4, 6]).entries);
  t.equal(log.lastIndexWithin(5, 6), 5);
  t.equal(log.lastIndexWithin(5, 5), 4);
  t.equal(log.lastIndexWithin(5, 3), 2);
  t.equal(log.lastIndexWithin(9, 6), 5);
  t.equal(log.lastIndexWithin(5, 0), 0);
});

t.test(
  "Progress: a late accept of a repaired peer ends the probe, a stale rejection is ignored",
  async (t) => {
    const progress = new Progress({ next: 10, nowMs: 0, limits: DEFAULT_RAFT_LIMITS });
    progress.sent(12, 100);
    t.notOk(progress.canSend, "one probe at a time");
    progress.rejected(5, 3);
    t.match(progress, { next: 10, canSend: false }, "that is not the probe that is out");
    progress.rejected(9, 4);
    t.match(progress, { next: 5, state: "probe", canSend: true });
    t.ok(progress.accepted(7, 0));
    t.match(progress, { match: 7, next: 8, state: "replicate" });
    progress.sent(9, 100);
    t.equal(progress.next, 10);
    progress.rejected(7, 3);
    t.match(progress, { next: 10, state: "replicate" }, "durable entries are never refused");
    t.notOk(progress.accepted(6, 0));
    t.equal(progress.match, 7);
    progress.rejected(9, 8);
    t.match(progress, { next: 8, state: "probe" });
  },
);

t.test("Progress: a hint never leads below what is known, nor stands still", async (t) => {
  const progress = new Progress({ next: 10, nowMs: 0, limits: DEFAULT_RAFT_LIMITS });
  progress.accepted(4, 0);
  progress.rejected(9, 1);
  t.equal(progress.next, 5);
  const other = new Progress({ next: 10, nowMs: 0, limits: DEFAULT_RAFT_LIMITS });
  other.rejected(9, 9);
  t.equal(other.next, 9);
});

t.test("Raft.learnCommitted() commits where the entry stands, and once it does", async (t) => {
  const conversation = ledByFirst("a", "b", "c");
  conversation.propose("a", "x");
  t.equal(conversation.raft("b").commitIndex, 2);
  conversation.act("b", (raft) => raft.learnCommitted({ index: 3, term: 2 }));
  t.equal(conversation.raft("b").commitIndex, 3);
  conversation.act("b", (raft) => raft.learnCommitted({ index: 2, term: 9 }));
  conversation.act("b", (raft) => raft.learnCommitted({ index: 4, term: 2 }));
  t.equal(conversation.raft("b").commitIndex, 3);
  conversation.holdDisk("c");
  conversation.holdDisk("a");
  conversation.propose("a", "y");
  t.equal(conversation.raft("b").commitIndex, 4);
});

t.test("Raft.campaignAtOnce() does not wait for an election timeout", async (t) => {
  const conversation = new Conversation({ members: ["a"] });
  conversation.act("a", (raft) => raft.campaignAtOnce());
  t.equal(conversation.raft("a").role, "leader");
  t.equal(conversation.nowMs, 0);
});
