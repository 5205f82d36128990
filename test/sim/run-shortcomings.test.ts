import { t } from "tap";
import { SEEDS_OF_ALL_MARKS, SEEDS_OF_ALL_REQUESTS, shortcomingsOf } from "./run-shortcomings.ts";
import { addCounts, type Counts, REQUEST_KINDS, type RequestKind, Tally } from "./tally.ts";

/** As many of each kind, but of one. */
function counts(answered: number, odd: RequestKind | null = null, answeredOdd = 0): Counts {
  const entries = REQUEST_KINDS.map((kind) => {
    return [kind, { asked: answered, answered: kind === odd ? answeredOdd : answered }] as const;
  });
  return Object.fromEntries(entries) as Counts;
}

t.test("shortcomingsOf() wants every mark of a run that is long enough for it", (t) => {
  const requests = counts(1e9);
  const missedMarks = ["raft: rare"];
  t.strictSame(shortcomingsOf({ seeds: SEEDS_OF_ALL_MARKS - 1, requests, missedMarks }), []);
  t.strictSame(shortcomingsOf({ seeds: SEEDS_OF_ALL_MARKS, requests, missedMarks }), [
    "never reached: raft: rare",
  ]);
  t.end();
});

t.test("shortcomingsOf() wants requests of each kind to be answered", (t) => {
  const seeds = SEEDS_OF_ALL_REQUESTS;
  const missedMarks: string[] = [];
  t.strictSame(shortcomingsOf({ seeds: seeds - 1, requests: counts(0), missedMarks }), []);
  t.equal(shortcomingsOf({ seeds, requests: counts(0), missedMarks }).length, REQUEST_KINDS.length);
  for (const kind of REQUEST_KINDS) {
    const refused = counts(100_000, kind, 10);
    t.match(shortcomingsOf({ seeds, requests: refused, missedMarks }), [
      new RegExp(`^${kind}: 10 of 100000 answered, at least \\d+ must be$`),
    ]);
  }
  t.end();
});

t.test("Tally counts what is asked, and what is answered", async (t) => {
  const tally = new Tally();
  t.equal(await tally.count("write", Promise.resolve(7)), 7);
  await t.rejects(tally.count("write", Promise.reject(new Error("refused"))), { message: "refused" });
  t.strictSame(tally.counts.write, { asked: 2, answered: 1 });
  t.strictSame(addCounts([tally.counts, tally.counts]).write, { asked: 4, answered: 2 });
  t.strictSame(tally.counts["none read"], { asked: 0, answered: 0 });
});
