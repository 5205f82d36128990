import { t } from "tap";
import { SnapshotReaders } from "../../agent/replica/snapshot-readers.ts";
import { ManualClock } from "../platform/manual-clock.ts";

function newReaders(): { readonly clock: ManualClock; readonly readers: SnapshotReaders } {
  const clock = new ManualClock();
  return { clock, readers: new SnapshotReaders(clock, 100) };
}

t.test("SnapshotReaders: the slowest of those counts who get on", async (t) => {
  const { clock, readers } = newReaders();
  t.equal(readers.sentFraction, null);
  readers.seen("a", 0);
  t.equal(readers.sentFraction, 0);
  readers.seen("a", 60);
  readers.seen("b", 20);
  t.equal(readers.sentFraction, 0.2);
  clock.advance(1_400);
  readers.seen("a", 10);
  clock.advance(200);
  t.equal(readers.sentFraction, 0.7, "b has got nothing for too long");
  readers.seen("b", 10);
  t.equal(readers.sentFraction, 0.3);
});

t.test("SnapshotReaders: who asks on and on for the same does not get on", async (t) => {
  const { clock, readers } = newReaders();
  readers.seen("a", 100);
  t.equal(readers.sentFraction, 1);
  for (let times = 0; times < 4; times++) {
    clock.advance(1_000);
    readers.seen("a", 50);
  }
  t.equal(readers.sentFraction, null);
  t.ok(readers.isReadByOthers("b"), "though it is there");
});

t.test("SnapshotReaders: four at once, and who is one of them may begin anew", async (t) => {
  const { readers } = newReaders();
  for (const node of ["a", "b", "c", "d"]) {
    t.ok(readers.mayJoin(node));
    readers.seen(node, 0);
  }
  t.notOk(readers.mayJoin("e"));
  t.ok(readers.mayJoin("d"));
  readers.left("a");
  t.ok(readers.mayJoin("e"));
});

t.test(
  "SnapshotReaders: who asks for nothing holds up nobody after a while, and has gone later",
  async (t) => {
    const { clock, readers } = newReaders();
    t.equal(readers.idleInMs, 30_000, "nobody may come");
    readers.seen("a", 10);
    t.notOk(readers.isReadByOthers("a"), "itself does not count");
    t.ok(readers.isReadByOthers("b"));
    clock.advance(5_000);
    t.notOk(readers.isReadByOthers("b"));
    readers.seen("b", 10);
    clock.advance(25_000);
    t.equal(readers.idleInMs, 5_000, "as long as the last of them");
    readers.forgetIdle();
    t.strictSame([readers.has("a"), readers.has("b")], [false, true]);
    clock.advance(5_000);
    readers.forgetIdle();
    t.ok(readers.isEmpty);
  },
);
