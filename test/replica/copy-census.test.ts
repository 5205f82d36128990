import { t } from "tap";
import type { Configuration } from "../../agent/raft/types.ts";
import { CopyCensus } from "../../agent/replica/copy-census.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import type { LogPosition } from "../../agent/store/types.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { MemoryNetwork } from "./memory-network.ts";

const POSITION = { index: 7, term: 2 };
const HOLDS = "replica/holds";
const ROUND_TRIP_MS = 2;

/** Four members and what each holds. The first one counts. */
class Group {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  /** Whose node is down has no census. */
  readonly #censuses = new Map<string, CopyCensus>();
  readonly held = new Map<string, LogPosition>();

  constructor() {
    for (const letter of "abcd") this.start(letter, "00000001");
  }

  start(letter: string, incarnation: string): void {
    const memberId = memberIdOf(nodeOf(letter), incarnation);
    this.held.set(letter, POSITION);
    const census = new CopyCensus({
      memberId,
      holds: ({ index, term }) => {
        const held = this.held.get(letter);
        return held !== undefined && index <= held.index && term === held.term;
      },
      transport: this.network.transportOf(nodeOf(letter)),
    });
    this.#censuses.set(letter, census);
  }

  stop(letter: string): void {
    this.#censuses.get(letter)?.stop();
  }

  /** What the count says, and after how many milliseconds. */
  async count(
    configuration: Partial<Configuration>,
    { without, timeoutMs = 8_000 }: { readonly without?: string; readonly timeoutMs?: number } = {},
  ): Promise<{ readonly isHeld: boolean; readonly ms: number }> {
    const census = this.#censuses.get("a");
    if (census === undefined) throw new Error("a counts");
    const beganMs = this.clock.nowMs();
    let result: { readonly isHeld: boolean; readonly ms: number } | null = null;
    const counted = census
      .isHeldByQuorum({
        configuration: { voters: [], outgoing: [], learners: [], ...configuration },
        position: POSITION,
        timeoutMs,
        ...(without === undefined ? {} : { withoutNode: nodeOf(without) }),
      })
      .then((isHeld) => {
        result = { isHeld, ms: this.clock.nowMs() - beganMs };
      });
    while (result === null) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.advance(1);
    }
    await counted;
    return result;
  }

  async isHeld(...question: Parameters<Group["count"]>): Promise<boolean> {
    return (await this.count(...question)).isHeld;
  }
}

function nodeOf(letter: string): string {
  return letter.repeat(32);
}

function idsOf(letters: string): readonly string[] {
  return [...letters].map((letter) => memberIdOf(nodeOf(letter), "00000001"));
}

t.test("a quorum of all voters counts, of both sets while the configuration is joint", async (t) => {
  const group = new Group();
  const abc = { voters: idsOf("abc") };
  t.ok(await group.isHeld(abc));
  group.held.delete("b");
  t.ok(await group.isHeld(abc));
  t.notOk(await group.isHeld(abc, { without: "c" }), "who asks does not count");
  t.ok(await group.isHeld({ voters: idsOf("bcd") }), "nor does who counts, if it has no vote");
  t.notOk(await group.isHeld({ voters: idsOf("acd"), outgoing: idsOf("ab") }), "one of two is none");
  t.ok(await group.isHeld({ voters: idsOf("ab").slice(0, 1), outgoing: idsOf("acd") }));
  t.notOk(await group.isHeld({ voters: [] }), "nobody decides nothing");
});

t.test("it is asked anew each time: what was so before does not count", async (t) => {
  const group = new Group();
  const ab = { voters: idsOf("ab") };
  t.ok(await group.isHeld(ab));
  group.held.delete("b");
  t.notOk(await group.isHeld(ab));
  group.held.set("b", { index: 6, term: 2 });
  t.notOk(await group.isHeld(ab), "up to the entry, not only before it");
  group.held.set("b", { index: 8, term: 3 });
  t.notOk(await group.isHeld(ab), "and that one, no other in its place");
  group.held.set("b", POSITION);
  t.ok(await group.isHeld(ab));
  group.held.delete("a");
  t.notOk(await group.isHeld(ab), "whoever counts is no exception");
});

t.test("a node that runs as another member says nothing for the one that it was", async (t) => {
  const group = new Group();
  group.stop("b");
  group.start("b", "00000002");
  t.notOk(await group.isHeld({ voters: idsOf("ab") }));
  const b2 = memberIdOf(nodeOf("b"), "00000002");
  t.ok(await group.isHeld({ voters: [...idsOf("a"), b2] }));
  const both = { voters: [...idsOf("ac"), b2], outgoing: idsOf("abc") };
  t.ok(await group.isHeld(both));
  group.held.delete("c");
  t.notOk(await group.isHeld(both, { without: "b" }), "without a node, none of its members counts");
});

t.test("it takes no longer than needed, and never longer than allowed", async (t) => {
  const group = new Group();
  group.network.cut(nodeOf("c"), nodeOf("a"));
  const abc = { voters: idsOf("abc") };
  t.strictSame(await group.count(abc), { isHeld: true, ms: ROUND_TRIP_MS }, "c is not waited for");
  t.strictSame(
    await group.count(abc, { without: "b" }),
    { isHeld: false, ms: 2_000 },
    "here it is, for a while",
  );
  t.strictSame(await group.count(abc, { without: "b", timeoutMs: 100 }), { isHeld: false, ms: 100 });
  group.held.delete("b");
  group.held.delete("a");
  t.strictSame(await group.count(abc), { isHeld: false, ms: ROUND_TRIP_MS }, "two said no");
  const { delivered } = group.network;
  const asked = delivered.get(HOLDS);
  t.notOk(await group.isHeld({ voters: idsOf("ab") }, { without: "b" }));
  t.equal(delivered.get(HOLDS), asked, "where nobody can help, nobody is asked");
  t.equal(group.clock.timers, 0, "nothing is left behind");
});

t.test("stop() ends a count, and the answers", async (t) => {
  const group = new Group();
  group.network.cut(nodeOf("b"), nodeOf("a"));
  const counted = group.count({ voters: idsOf("ab") });
  group.stop("a");
  t.strictSame(await counted, { isHeld: false, ms: 0 });
  group.network.heal();
  group.stop("b");
  t.notOk(await group.isHeld({ voters: idsOf("ab") }));
});

t.test("an answer of another kind is none", async (t) => {
  const group = new Group();
  t.ok(await group.isHeld({ voters: idsOf("ab") }));
  group.network.alterAnswer = () => new Uint8Array([0x80]);
  t.notOk(await group.isHeld({ voters: idsOf("ab") }));
});
