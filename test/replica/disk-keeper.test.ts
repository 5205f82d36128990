import { t } from "tap";
import { InvariantError } from "../../agent/platform/invariant.ts";
import type { TrivetError } from "../../agent/platform/trivet-error.ts";
import { DiskKeeper } from "../../agent/replica/disk-keeper.ts";
import type { DiskState } from "../../agent/replica/disk-state.ts";
import { DiskWatch } from "../../agent/replica/disk-watch.ts";
import type { MemberReport } from "../../agent/replica/report-wire.ts";
import { ManualClock } from "../platform/manual-clock.ts";

type ReplicaPart = ConstructorParameters<typeof DiskKeeper>[0]["replica"];

/** A member whose disk has as much room as is said, and what was asked of its replica. */
class Kept {
  readonly clock = new ManualClock();
  readonly asked: string[] = [];
  readonly reports = new Map<string, MemberReport>();
  readonly failures: unknown[] = [];
  readonly watch: DiskWatch;
  /** What becomes of a hand-over. */
  handOver: () => Promise<void> = async () => undefined;
  free = 1_000;
  isLeader = true;
  refusal: () => TrivetError | null = () => null;

  constructor() {
    this.watch = new DiskWatch({
      space: { freeBytes: async () => this.free },
      watermarkBytes: 100,
      clock: this.clock,
      logger: { log: () => undefined },
      onFailed: (error) => this.failures.push(error),
    });
    const peers = [
      { member: "b", match: 5, isActive: true },
      { member: "c", match: 9, isActive: true },
      { member: "d", match: 9, isActive: false },
      { member: "learner", match: 9, isActive: true },
    ].map((peer) => ({ ...peer, next: 1, state: "replicate" as const, rttMs: null }));
    const keeper = this;
    const replica: ReplicaPart = {
      leadership: {
        get isLeader() {
          return keeper.isLeader;
        },
        handOver: async (_timeoutMs, to) => {
          keeper.asked.push(`hand over to ${to}`);
          await keeper.handOver();
        },
      },
      proposer: {
        refuseWrites: (refusal) => {
          this.refusal = refusal;
        },
      },
      status: () => ({ voters: ["a", "b", "c", "d"], peers }),
      pauseStoring: () => this.asked.push("hold"),
      resumeStoring: () => this.asked.push("release"),
    };
    new DiskKeeper({
      ...{ replica, disk: this.watch, reports: () => this.reports, clock: this.clock },
      onFailed: (error) => this.failures.push(error),
    });
  }

  tell(member: string, disk: DiskState, isStuck = false): void {
    const at = { term: 1, session: 1, sentMs: 1, copySinceMs: 0 };
    this.reports.set(member, { member, ...at, disk, isStuck, digests: [] });
  }

  /** Until the disk was looked at again. */
  async have(free: number): Promise<readonly string[]> {
    this.free = free;
    this.asked.length = 0;
    this.clock.advance(1_000);
    for (let round = 0; round < 3; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.advance(500);
    }
    return [...new Set(this.asked)];
  }
}

t.test("DiskKeeper hands over to the voter with room that is furthest", async (t) => {
  const kept = new Kept();
  await kept.watch.start();
  kept.tell("b", "ok");
  kept.tell("c", "low");
  for (const member of ["d", "learner"]) kept.tell(member, "ok");
  t.strictSame(await kept.have(1_000), []);
  t.equal(kept.refusal(), null);
  t.strictSame(await kept.have(50), ["hand over to b"]);
  t.match(kept.refusal(), { code: "not-leader" }, "a write goes to the other one");
  kept.tell("c", "ok", true);
  t.strictSame(await kept.have(50), ["hand over to b"], "c is stuck");
  kept.tell("c", "ok");
  t.strictSame(await kept.have(50), ["hand over to c"]);
  kept.isLeader = false;
  t.strictSame(await kept.have(50), []);
});

t.test("DiskKeeper tells of a hand-over that broke, and goes on", async (t) => {
  const kept = new Kept();
  await kept.watch.start();
  kept.tell("b", "ok");
  const broken = new InvariantError("broken");
  kept.handOver = () => Promise.reject(broken);
  t.strictSame(await kept.have(50), ["hand over to b"]);
  t.ok(kept.failures.length > 0);
  t.ok(kept.failures.every((failure) => failure === broken));
});

t.test("DiskKeeper refuses writes where nobody has room, until there is some", async (t) => {
  const kept = new Kept();
  await kept.watch.start();
  for (const member of ["b", "c"]) kept.tell(member, "low");
  t.strictSame(await kept.have(50), []);
  t.match(kept.refusal(), { code: "disk-full", message: /Nothing was done.*Free space/ });
  t.strictSame(await kept.have(10), ["hold"], "and applies nothing when it is full");
  t.match(kept.refusal(), { code: "disk-full" });
  t.strictSame(await kept.have(60), ["release"]);
  await kept.have(200);
  t.equal(kept.refusal(), null);
});
