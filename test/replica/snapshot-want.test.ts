import { t } from "tap";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import {
  isNeeded,
  minIndexOf,
  type SnapshotWant,
  sourcesOf,
  type WantingMember,
} from "../../agent/replica/snapshot-want.ts";

const [A, B, C] = ["a", "b", "c"].map((letter) => letter.repeat(32)) as [string, string, string];
const [a, b, c] = [A, B, C].map((node) => memberIdOf(node, "00000001")) as [string, string, string];

const MEMBER: WantingMember = {
  id: c,
  leader: b,
  configuration: { voters: [a, b, c], outgoing: [], learners: [] },
  baseIndex: 40,
  commitIndex: 50,
  appliedIndex: 45,
  fault: null,
  hasDamage: false,
};
const DIVERGED = { reason: "diverged", judge: a } as const satisfies SnapshotWant;
const BEHIND: SnapshotWant = { reason: "behind", leader: a, commitIndex: 50 };

t.test("who is behind needs a snapshot until the log brings what follows", async (t) => {
  t.ok(isNeeded(BEHIND, MEMBER));
  t.notOk(isNeeded(BEHIND, { ...MEMBER, commitIndex: 51 }));
  t.equal(minIndexOf(BEHIND, MEMBER), 46, "what is applied is no help");
  t.strictSame(sourcesOf(BEHIND, MEMBER), [A, B], "who said so comes first");
});

t.test("a copy that is out of use needs one until it is replaced, and none from before reads", async (t) => {
  for (const want of [{ reason: "empty" }, DIVERGED] as const) {
    t.ok(isNeeded(want, { ...MEMBER, commitIndex: 99, fault: want.reason }));
    t.notOk(isNeeded(want, MEMBER));
    t.equal(minIndexOf(want, MEMBER), 45);
    t.equal(minIndexOf(want, { ...MEMBER, appliedIndex: 0 }), 40, "the log must go on behind it");
  }
});

t.test("what is lost any member may give, what is diverged only the leader", async (t) => {
  t.strictSame(sourcesOf({ reason: "empty" }, MEMBER), [B, A]);
  t.strictSame(sourcesOf({ reason: "empty" }, { ...MEMBER, leader: null }), [A, B]);
  t.strictSame(sourcesOf(DIVERGED, MEMBER), [B]);
  t.strictSame(sourcesOf(DIVERGED, { ...MEMBER, leader: null }), []);
  t.strictSame(sourcesOf({ ...DIVERGED, judge: null }, { ...MEMBER, leader: c }), [], "not itself");
  t.strictSame(
    sourcesOf(DIVERGED, { ...MEMBER, leader: c }),
    [A],
    "who leads alone asks its judge, who may have left",
  );
});

t.test("what is doubtful needs one while it is, and any member may give it", async (t) => {
  const doubtful = { ...MEMBER, hasDamage: true };
  t.ok(isNeeded({ reason: "doubtful" }, doubtful));
  t.notOk(isNeeded({ reason: "doubtful" }, MEMBER));
  t.equal(minIndexOf({ reason: "doubtful" }, doubtful), 45, "reads have seen what is applied");
  t.strictSame(sourcesOf({ reason: "doubtful" }, doubtful), [B, A]);
  t.strictSame(sourcesOf({ reason: "doubtful" }, { ...doubtful, leader: c }), [A, B], "also where it leads");
});

t.test("a node is not asked for what it has lost itself", async (t) => {
  const id = memberIdOf(C, "00000002");
  const configuration = { ...MEMBER.configuration, learners: [id] };
  t.strictSame(sourcesOf({ reason: "empty" }, { ...MEMBER, id, configuration }), [B, A]);
});
