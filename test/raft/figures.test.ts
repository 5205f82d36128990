import t from "tap";
import { Conversation } from "./conversation.ts";
import { type Disk, diskOfTerms, votersOnly } from "./disk.ts";
import { listen } from "./listen.ts";

/** What the leader of figure 7, whose log ends 10/6, and each follower say to each other in term 8. */
const FIGURE_7: Readonly<Record<string, readonly string[]>> = {
  a: [
    "L -> a  append-request 8, behind 10/6: 11/8, commit 0",
    "a -> L  append-response 8, rejects 10, try 9/6",
    "L -> a  append-request 8, behind 9/6: 10/6 11/8, commit 0",
    "a -> L  append-response 8, holds 11",
  ],
  b: [
    "L -> b  append-request 8, behind 10/6: 11/8, commit 0",
    "b -> L  append-response 8, rejects 10, try 4/4",
    "L -> b  append-request 8, behind 4/4: 7 entries, commit 0",
    "b -> L  append-response 8, holds 11",
  ],
  c: ["L -> c  append-request 8, behind 10/6: 11/8, commit 0", "c -> L  append-response 8, holds 11"],
  d: ["L -> d  append-request 8, behind 10/6: 11/8, commit 0", "d -> L  append-response 8, holds 11"],
  e: [
    "L -> e  append-request 8, behind 10/6: 11/8, commit 0",
    "e -> L  append-response 8, rejects 10, try 7/4",
    // Term 5 cannot be in a log that has term 4 at 7: all of it is skipped at once.
    "L -> e  append-request 8, behind 5/4: 6 entries, commit 0",
    "e -> L  append-response 8, holds 11",
  ],
  f: [
    "L -> f  append-request 8, behind 10/6: 11/8, commit 0",
    "f -> L  append-response 8, rejects 10, try 10/3",
    "L -> f  append-request 8, behind 3/1: 8 entries, commit 0",
    "f -> L  append-response 8, holds 11",
  ],
};

for (const [id, terms] of Object.entries({
  a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
  b: [1, 1, 1, 4],
  c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  e: [1, 1, 1, 4, 4, 4, 4],
  f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
})) {
  t.test(`figure 7: follower ${id} is repaired with one rejection at most`, async (t) => {
    const configuration = votersOnly(["L", "M", id]);
    const disk = (of: readonly number[]) => ({
      ...diskOfTerms(configuration, of),
      hardState: { term: 7, vote: null, commit: 0 },
    });
    const leaders = disk([1, 1, 1, 4, 4, 5, 5, 6, 6, 6]);
    const conversation = new Conversation({ members: { L: leaders, M: leaders, [id]: disk(terms) } });
    conversation.campaign("L");
    const said = conversation.takeTranscript(id).split("\n");
    t.same(
      said.filter((line) => line.includes("append-")),
      FIGURE_7[id],
    );
    t.same(conversation.disk(id).entries, conversation.disk("L").entries);
  });
}

/** Figure 8 (c): a has come back and leads term 4, with its entry 2 of term 2 on a and b. Its appends are lost. */
function figure8(): Conversation {
  const voters = votersOnly(["a", "b", "c", "d", "e"]);
  const disk = (terms: readonly number[], vote: string | null = null): Disk => ({
    ...diskOfTerms(voters, terms),
    hardState: { term: 3, vote, commit: 0 },
  });
  const conversation = new Conversation({
    members: { a: disk([1, 2]), b: disk([1, 2]), c: disk([1]), d: disk([1]), e: disk([1, 3], "e") },
  });
  conversation.lose({ kind: "append-request" });
  conversation.campaign("a");
  return conversation;
}

t.test("figure 8: an entry of an old term is not committed by counting its copies", async (t) => {
  const conversation = figure8();
  const says = listen(t, conversation);
  t.match(conversation.raft("a"), { role: "leader", term: 4, commitIndex: 0 });
  conversation.takeTranscript();
  // The entry of the own term reaches nobody; entry 2 reaches c, and with a and b that is a majority.
  for (const to of ["b", "c"]) {
    const entries = [{ kind: "noop", index: 2, term: 2 } as const];
    const position = { previousIndex: 1, previousTerm: 1, entries, commit: 0 };
    conversation.inject({ kind: "append-request", from: "a", to, term: 4, ...position });
  }
  says(`
    a late b  append-request 4, behind 1/1: 2/2, commit 0
    b -> a  append-response 4, holds 2
    a -x b  append-request 4, behind 2/2: 3/4, commit 0
    a late c  append-request 4, behind 1/1: 2/2, commit 0
    c disk  term 4, vote a, 2/2
    c -> a  append-response 4, holds 2
    a -x c  append-request 4, behind 2/2: 3/4, commit 0
  `);
  t.equal(conversation.raft("a").commitIndex, 0);
  // (d): e may therefore win and replace it.
  conversation.crash("a");
  conversation.heal();
  conversation.campaign("e");
  conversation.run(300);
  t.equal(conversation.raft("e").role, "leader");
  t.same(
    conversation.disk("c").entries.map(({ term }) => term),
    [1, 3, 5],
  );
});

t.test(
  "figure 8: one entry of its own term on a majority commits all, and e cannot win any more",
  async (t) => {
    const conversation = figure8();
    const says = listen(t, conversation);
    conversation.cutOff("d", "e");
    conversation.run(100);
    t.match(conversation.raft("a"), { role: "leader", term: 4, commitIndex: 3 });
    // (e)
    conversation.crash("a");
    conversation.heal();
    conversation.takeTranscript();
    conversation.campaign("e");
    says(`
    e: candidate, term 5
    e disk  term 5, vote e, no entries
    e -> a, b, c, d  vote-request 5, log ends 2/3, transfer
    b: follower of nobody, term 5
    c: follower of nobody, term 5
    d: follower of nobody, term 5
    b disk  term 5, vote none, no entries
    b -> e  vote-response 5, refused
    c disk  term 5, vote none, no entries
    c -> e  vote-response 5, refused
    d disk  term 5, vote e, no entries
    d -> e  vote-response 5, granted
  `);
    t.same(
      conversation.disk("c").entries.map(({ term }) => term),
      [1, 2, 4],
    );
  },
);
