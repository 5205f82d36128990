import { t } from "tap";
import {
  compareDigests,
  DIGEST_STRIDE,
  type Digest,
  DigestRing,
  type Judgement,
  judge,
} from "../../agent/replica/divergence.ts";

/** `7a`: after entry 7 the hash is `a`. */
function digestsOf(...texts: readonly string[]): readonly Digest[] {
  return texts.map((text) => ({ index: parseInt(text, 10), hash: Buffer.from(text.replace(/\d+/, "")) }));
}

/** The first member leads; all vote and answer unless said otherwise. */
function judgeOf(
  told: Readonly<Record<string, string>>,
  others: {
    readonly voters?: readonly string[];
    readonly outgoing?: readonly string[];
    readonly silent?: readonly string[];
  } = {},
): Judgement {
  const members = Object.keys(told);
  const { voters = members, outgoing = [], silent = [] } = others;
  const answering = new Set(voters.filter((voter) => !silent.includes(voter)));
  const digests = new Map(
    members.map((member) => [member, digestsOf(...(told[member]?.split(" ") ?? []).filter(Boolean))]),
  );
  const configuration = { voters, outgoing, learners: [] };
  return judge({ leader: members[0] ?? "", configuration, digests, answering });
}

t.test("compareDigests() goes by the newest index that both know", async (t) => {
  t.equal(compareDigests(digestsOf("1a", "5b"), digestsOf("1a", "5b", "9c")), "same");
  t.equal(compareDigests(digestsOf("1a", "5x"), digestsOf("1a", "5b")), "differs");
  t.equal(compareDigests(digestsOf("1a", "6x"), digestsOf("1a", "5b")), "same");
  t.equal(compareDigests(digestsOf("6x"), digestsOf("5b")), "unknown");
  t.equal(compareDigests([], []), "unknown");
  t.equal(compareDigests(digestsOf("5bb"), digestsOf("5b")), "differs", "a longer hash is another one");
});

t.test("DigestRing keeps the newest, one for each index", async (t) => {
  const ring = new DigestRing();
  for (let index = 1; index <= 100; index++) ring.record({ index, hash: Buffer.from("a") });
  t.equal(ring.digests.length, 64);
  t.equal(ring.digests.at(-1)?.index, 100);
  ring.record({ index: 100, hash: Buffer.from("b") });
  t.same(ring.digests.at(-1), { index: 100, hash: Buffer.from("b") });
  t.equal(ring.digests.length, 64);
  ring.clear();
  t.same(ring.digests, []);
});

t.test("DigestRing tells of an entry that every other member tells of, however far it is", async (t) => {
  const hashOf = (index: number): Uint8Array => Buffer.from(`${index}`);
  /** Of batches that end at every `step`th entry, and at the strides. */
  const toldAt = (last: number, step: number): readonly Digest[] => {
    const ring = new DigestRing();
    for (let index = 500 * DIGEST_STRIDE; index <= last; index++)
      if (index % step === 0 || index % DIGEST_STRIDE === 0) ring.record({ index, hash: hashOf(index) });
    return ring.told;
  };
  const near = toldAt(1_000 * DIGEST_STRIDE + 40, 7);
  for (const ahead of [0.5, 1.5, 3, 10, 50, 200].map((strides) => strides * DIGEST_STRIDE)) {
    const far = toldAt(1_000 * DIGEST_STRIDE + 40 + ahead, 11);
    t.equal(compareDigests(near, far), "same", `${ahead} entries`);
    t.ok(far.length <= 64 && near.length <= 64);
    t.strictSame(
      [...far].sort((a, b) => a.index - b.index),
      far,
      "oldest first",
    );
  }
});

t.test("judge() goes by the oldest entry that differs, which others come to tell of", async (t) => {
  // Each tells of newer entries than the one before it: there is never one that is the newest of all.
  const told = { A: "1024x 2048x 2100x 2200x", B: "1024y 2048y 2100y", C: "1024y 2048y 2070y" };
  t.same(judgeOf(told), { kind: "odd-leader", successor: "B" });
  const follower = { A: "1024x 2048x 2100x 2200x", B: "1024y 2048y 2100y", C: "1024x 2048x 2070x" };
  t.same(judgeOf(follower), { kind: "odd-members", members: ["B"] });
});

t.test("judge() finds nobody where nobody differs", async (t) => {
  t.same(judgeOf({ A: "5a", B: "5a", C: "4z" }), { kind: "odd-members", members: [] });
  t.same(judgeOf({ A: "5a" }), { kind: "odd-members", members: [] });
});

t.test("judge() names a follower that differs from leader and majority", async (t) => {
  t.same(judgeOf({ A: "5a", B: "5x", C: "5a" }), { kind: "odd-members", members: ["B"] });
  t.same(judgeOf({ A: "5a", B: "5x", C: "5a 6q", D: "5a", E: "5y" }), {
    kind: "odd-members",
    members: ["B", "E"],
  });
});

t.test("judge() waits for a voter that answers and has not told yet", async (t) => {
  t.same(judgeOf({ A: "5a", B: "5x", C: "" }), { kind: "undecided", members: ["B"] });
  t.same(judgeOf({ A: "5a", B: "5x", C: "" }, { silent: ["C"] }), { kind: "odd-members", members: ["B"] });
});

t.test("judge() takes no word on an earlier entry for agreement on a later one", async (t) => {
  const open = judgeOf({ A: "4o 5a", B: "5x", C: "4o" });
  t.same(open, { kind: "undecided", members: ["B"] }, "C may be with B");
  t.same(judgeOf({ A: "4o 5a", B: "5x", C: "4o 5x" }), { kind: "odd-leader", successor: "B" });
  t.same(judgeOf({ A: "4o 5a", B: "5x", C: "4o 5a" }), { kind: "odd-members", members: ["B"] });
  const told = { A: "4o 5a", B: "4o 5x", C: "4o 5y", D: "4o", E: "4o" };
  t.same(judgeOf(told), { kind: "undecided", members: ["B", "C"] }, "what B and C had in common is over");
});

t.test("judge() waits for a voter that was odd before, and has not told of the entry", async (t) => {
  // b was odd at 270 and has another copy since: it says nothing of 303 yet (simulator seed 7508).
  const before = { A: "270a 303x", B: "270b", C: "270a 303c" };
  t.same(judgeOf(before), { kind: "odd-members", members: ["B"] }, "what it told is odd, and C is not yet");
  t.same(judgeOf(before, { silent: ["B"] }), { kind: "odd-members", members: ["B", "C"] });
  t.same(judgeOf({ ...before, B: "303c" }), { kind: "odd-leader", successor: "B" });
  t.same(judgeOf({ ...before, B: "303x" }), { kind: "odd-members", members: ["C"] });
});

t.test(
  "judge() condemns nobody of whom two that differ from the leader have told nothing in common",
  async (t) => {
    const told = { A: "275x 303x", B: "260b 275b", C: "288c 303c" };
    t.same(judgeOf(told), { kind: "undecided", members: ["B", "C"] });
  },
);

t.test("judge() finds the leader odd when a majority agrees on another state", async (t) => {
  t.same(judgeOf({ A: "5a", B: "5x", C: "5x" }), { kind: "odd-leader", successor: "B" });
  t.same(judgeOf({ A: "5a", B: "5x", C: "4z 5x", D: "5x", E: "5a" }), { kind: "odd-leader", successor: "B" });
});

t.test("judge() gives leadership to one of the majority that answers", async (t) => {
  const told = { A: "5a", B: "5a", C: "5x", D: "5x", E: "5x" };
  t.same(judgeOf(told, { silent: ["C"] }), { kind: "odd-leader", successor: "D" });
  t.same(judgeOf(told, { silent: ["C", "D", "E"] }), { kind: "odd-leader", successor: "C" });
});

t.test("judge() does not let leadership go round among members that all differ", async (t) => {
  t.same(judgeOf({ A: "5a", B: "5x", C: "5y" }), { kind: "odd-members", members: ["B", "C"] });
  t.same(judgeOf({ A: "5a", B: "5x" }), { kind: "odd-members", members: ["B"] }, "nor between two");
});

t.test("judge() gives learners no say, but finds them", async (t) => {
  const voters = ["A", "B", "C"];
  t.same(judgeOf({ A: "5a", B: "5a", C: "5a", D: "5x", E: "5x", F: "5x" }, { voters }), {
    kind: "odd-members",
    members: ["D", "E", "F"],
  });
  t.same(judgeOf({ A: "5a", B: "5x" }, { voters: ["A"] }), { kind: "odd-members", members: ["B"] });
});

t.test("judge() needs a majority of both sets while the voters are being changed", async (t) => {
  const told = { A: "5a", B: "5x", C: "5x", D: "5a", E: "5a" };
  const voters = ["A", "B", "C"];
  t.match(judgeOf(told, { voters }), { kind: "odd-leader", successor: "B" });
  t.same(judgeOf(told, { voters, outgoing: ["A", "D", "E"] }), {
    kind: "odd-members",
    members: ["B", "C"],
  });
});
