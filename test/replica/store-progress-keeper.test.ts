import { t } from "tap";
import type { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { DiskState } from "../../agent/replica/disk-state.ts";
import type { MemberReport } from "../../agent/replica/report-wire.ts";
import { StoreProgressKeeper } from "../../agent/replica/store-progress-keeper.ts";
import { ManualClock } from "../platform/manual-clock.ts";

type ReplicaPart = ConstructorParameters<typeof StoreProgressKeeper>[0]["replica"];

/** A leader that has applied entry 5 and is at the entries up to 8, for as long as is said; and to whom it has yielded. */
class Kept {
  readonly clock = new ManualClock();
  readonly reports = new Map<string, MemberReport>();
  readonly lines: string[] = [];
  yieldedTo: string[] = [];
  stalledMs = 0;
  isLeader = true;
  refusal: () => TrivetError | null = () => null;

  constructor() {
    const peers = ["b", "c", "learner"].map((member, nth) => ({
      ...{ member, match: nth, isActive: true },
      ...{ next: 1, state: "replicate" as const, rttMs: null },
    }));
    const kept = this;
    const replica: ReplicaPart = {
      applyingTo: 8,
      leadership: {
        get isLeader() {
          return kept.isLeader;
        },
        yieldTo: (to) => this.yieldedTo.push(to),
      },
      proposer: {
        refuseAll: (refusal) => {
          this.refusal = refusal;
        },
      },
      status: () => ({ voters: ["a", "b", "c"], peers, stalledMs: this.stalledMs, appliedIndex: 5 }),
    };
    const logger = { log: (_level: string, message: string) => this.lines.push(message) };
    new StoreProgressKeeper({ replica, reports: () => this.reports, clock: this.clock, logger });
  }

  tell(member: string, index: number, { disk = "ok" as DiskState, isStuck = false } = {}): void {
    const at = { term: 1, session: 1, sentMs: 1, copySinceMs: 0 };
    const digests = [{ index, hash: new Uint8Array(1) }];
    this.reports.set(member, { member, ...at, disk, isStuck, digests });
  }

  /** To whom it yields in the next second. */
  next(): readonly string[] {
    this.yieldedTo = [];
    this.clock.advance(1_000);
    return [...new Set(this.yieldedTo)];
  }
}

t.test("a leader whose database is stuck yields to a voter that is past what it is at", async (t) => {
  const kept = new Kept();
  for (const member of ["b", "c", "learner"]) kept.tell(member, 8);
  kept.stalledMs = 9_000;
  t.strictSame(kept.next(), [], "it may be a slow statement");
  t.equal(kept.refusal(), null);
  kept.stalledMs = 11_000;
  t.strictSame(kept.next(), ["c"]);
  t.match(kept.refusal(), { code: "not-leader" }, "a write goes to the other one");
  kept.isLeader = false;
  t.strictSame(kept.next(), []);
  kept.stalledMs = 0;
  kept.next();
  t.equal(kept.refusal(), null);
  t.equal(kept.lines.length, 2, "it is said once, and that it is over");
});

t.test(
  "an entry that takes long everywhere moves no leader, and writes are refused in the end",
  async (t) => {
    const kept = new Kept();
    for (const member of ["b", "c"]) kept.tell(member, 7);
    kept.stalledMs = 60_000;
    t.strictSame(kept.next(), []);
    t.equal(kept.refusal(), null, "it may be an index over a large table");
    kept.stalledMs = 80_000;
    kept.next();
    t.match(kept.refusal(), { code: "store-stuck", message: /Nothing was done.*not answered for 80 s/ });
    kept.tell("b", 8);
    t.strictSame(kept.next(), ["b"], "until somebody is past it");
  },
);

t.test("who is stuck, or short of space, or has told nothing takes nothing over", async (t) => {
  const kept = new Kept();
  kept.tell("b", 9, { isStuck: true });
  kept.stalledMs = 60_000;
  t.strictSame(kept.next(), []);
  kept.tell("b", 9, { disk: "low" });
  t.strictSame(kept.next(), []);
  kept.reports.set("b", { ...(kept.reports.get("b") as MemberReport), disk: "ok", digests: [] });
  t.strictSame(kept.next(), [], "its copy is out of use");
});

t.test("one look does not make a database stuck", async (t) => {
  const kept = new Kept();
  kept.tell("b", 8);
  kept.stalledMs = 60_000;
  kept.clock.advance(500);
  t.strictSame(kept.yieldedTo, [], "the answer to a long query may have come this moment");
  kept.stalledMs = 0;
  t.strictSame(kept.next(), []);
});
