import { t } from "tap";
import { entryBytes } from "../../agent/raft/entry-log.ts";
import type { Entry } from "../../agent/raft/types.ts";
import { chooseBase, LogRetention } from "../../agent/replica/log-retention.ts";
import {
  decodeRecord,
  encodeRecord,
  type MembershipRecord,
  nextRecord,
  RETIRED_MAX,
} from "../../agent/replica/membership-record.ts";
import type { LogPosition } from "../../agent/store/types.ts";
import { ManualClock } from "../platform/manual-clock.ts";

/** Entries of 132 bytes each, from `first` to `last`. */
class SomeLog {
  firstIndex: number;
  lastIndex: number;

  constructor(first: number, last: number) {
    this.firstIndex = first;
    this.lastIndex = last;
  }

  get applicableIndex(): number {
    return this.lastIndex;
  }

  get logBytes(): number {
    return (this.lastIndex - this.firstIndex + 1) * 132;
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= Math.min(to, this.lastIndex); index++) {
      const entry: Entry = { kind: "command", index, term: 2, command: new Uint8Array(100) };
      bytes += entryBytes(entry);
      if (bytes > bytesMax && entries.length > 0) break;
      entries.push(entry);
    }
    return entries;
  }
}

t.test(
  "chooseBase() keeps about the bytes that it is told, and never drops what is not durable",
  async (t) => {
    const log = new SomeLog(11, 110);
    t.strictSame(chooseBase(log, 132 * 40, 1_000), { index: 70, term: 2 });
    t.strictSame(chooseBase(log, 132 * 40, 30), { index: 30, term: 2 }, "durable up to 30");
    t.equal(chooseBase(log, 132 * 40, 10), null, "nothing durable is in the log");
    t.equal(chooseBase(log, 132 * 100, 1_000), null, "it fits");
  },
);

/** A retention over a log that `compact` really shortens; `durable` is what the next checkpoint says. */
function retentionOf(
  log: SomeLog,
  state: {
    durable: number;
    snapshot: LogPosition | null;
    applied?: number;
    mayDrop?: boolean;
    sentFraction?: number | null;
    needed?: number;
    onCheckpoint?: () => void;
  },
) {
  const compacted: number[] = [];
  const failures: unknown[] = [];
  const clock = new ManualClock();
  let checkpoints = 0;
  const retention = new LogRetention({
    retainBytes: 132 * 50,
    log: () => log,
    mayDrop: () => state.mayDrop ?? true,
    appliedIndex: () => state.applied ?? log.lastIndex,
    checkpoint: async () => {
      checkpoints += 1;
      state.onCheckpoint?.();
      return { index: state.durable, term: 2 };
    },
    heldPosition: () => state.snapshot,
    sentFraction: () => state.sentFraction ?? null,
    neededFrom: () => state.needed ?? Number.POSITIVE_INFINITY,
    endSnapshot: async () => {
      state.snapshot = null;
    },
    compact: async (base) => {
      compacted.push(base.index);
      log.firstIndex = base.index + 1;
    },
    clock,
    logger: { log: () => undefined },
    onFailed: (error) => failures.push(error),
  });
  const run = async (): Promise<void> => {
    retention.maybeRun();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { retention, clock, run, compacted, failures, checkpoints: () => checkpoints };
}

t.test("LogRetention drops down to half, so that it has rest for a while", async (t) => {
  const log = new SomeLog(1, 51);
  const { run, compacted, checkpoints } = retentionOf(log, { durable: 51, snapshot: null });
  await run();
  t.strictSame(compacted, [26]);
  await run();
  t.equal(checkpoints(), 1, "within its bytes: no checkpoint");
});

t.test("LogRetention does not ask for a checkpoint again and again where it frees nothing", async (t) => {
  const { run, compacted, checkpoints } = retentionOf(new SomeLog(1, 60), { durable: 0, snapshot: null });
  for (let time = 0; time < 5; time++) await run();
  t.strictSame(compacted, []);
  t.equal(checkpoints(), 1);
});

t.test(
  "LogRetention tries again once what came at once is applied, though the log stands still",
  async (t) => {
    const state = { durable: 0, snapshot: null, applied: 0 };
    const { run, compacted, checkpoints } = retentionOf(new SomeLog(1, 60), state);
    await run();
    state.applied = 59;
    await run();
    t.equal(checkpoints(), 1, "not with every entry");
    Object.assign(state, { applied: 60, durable: 60 });
    await run();
    t.strictSame(compacted, [35]);
    await run();
    t.equal(checkpoints(), 2);
  },
);

t.test("LogRetention drops nothing of a copy that is put out of use during its checkpoint", async (t) => {
  const state = {
    durable: 60,
    snapshot: null,
    mayDrop: true,
    onCheckpoint: (): void => {
      state.mayDrop = false;
    },
  };
  const { run, compacted, checkpoints } = retentionOf(new SomeLog(1, 60), state);
  await run();
  t.equal(checkpoints(), 1);
  t.strictSame(compacted, []);
  await run();
  t.equal(checkpoints(), 1);
});

t.test("LogRetention keeps the log behind a snapshot that is being sent, but not without end", async (t) => {
  const state = { durable: 300, snapshot: { index: 10, term: 2 } };
  const held = retentionOf(new SomeLog(1, 150), state);
  await held.run();
  t.strictSame(held.compacted, [10], "what the snapshot holds may go");
  t.equal(held.checkpoints(), 0);
  const long = retentionOf(new SomeLog(11, 300), state);
  await long.run();
  t.equal(state.snapshot, null, "the snapshot was ended");
  t.strictSame(long.compacted, [275]);
});

t.test("LogRetention keeps what a follower still comes up by, but not without end", async (t) => {
  const following = retentionOf(new SomeLog(1, 150), { durable: 150, snapshot: null, needed: 40 });
  await following.run();
  t.strictSame(following.compacted, [40]);
  const far = retentionOf(new SomeLog(1, 201), { durable: 201, snapshot: null, needed: 40 });
  await far.run();
  t.strictSame(far.compacted, [176]);
});

/** A log of which 200 entries are the bound, and a snapshot before it that is being sent. */
function sending(first: { readonly entries: number; readonly fraction: number | null }) {
  const log = new SomeLog(1, first.entries);
  const snapshot: LogPosition | null = { index: 0, term: 2 };
  const state = { durable: 0, snapshot, sentFraction: first.fraction };
  const parts = retentionOf(log, state);
  parts.retention.maybeRun();
  const isOutrunAt = (entries: number, fraction: number | null): boolean => {
    Object.assign(log, { lastIndex: entries });
    Object.assign(state, { sentFraction: fraction });
    return parts.retention.isOutrun;
  };
  return { ...parts, log, state, isOutrunAt };
}

t.test("LogRetention is outrun where the log would reach its bound before a snapshot is sent", async (t) => {
  const { isOutrunAt } = sending({ entries: 10, fraction: 0 });
  t.notOk(isOutrunAt(100, 0));
  t.ok(isOutrunAt(101, 0), "half of the bound");
  t.notOk(isOutrunAt(140, 0.5));
  t.ok(isOutrunAt(141, 0.5));
  t.notOk(isOutrunAt(180, 1));
  t.ok(isOutrunAt(181, 1), "something is left for the installation");
  t.notOk(isOutrunAt(199, null), "nobody takes it any more");
});

t.test("LogRetention counts from where the log stands when a snapshot is begun", async (t) => {
  const { isOutrunAt } = sending({ entries: 150, fraction: 0 });
  t.notOk(isOutrunAt(150, 0));
  t.ok(isOutrunAt(151, 0));
  t.notOk(isOutrunAt(170, 0.5));
  t.ok(isOutrunAt(171, 0.5));
  // Another one begins to read it.
  t.notOk(isOutrunAt(172, 0));
  t.ok(isOutrunAt(173, 0));
  t.notOk(isOutrunAt(183, 0.5));
  t.ok(isOutrunAt(184, 0.5));
});

t.test("LogRetention ends a snapshot that holds the log above its bound, though nothing grows", async (t) => {
  const { run, log, state, compacted } = sending({ entries: 198, fraction: 0.1 });
  await run();
  Object.assign(log, { lastIndex: 201 });
  Object.assign(state, { durable: 201 });
  await run();
  t.equal(state.snapshot, null);
  t.strictSame(compacted, [176]);
});

t.test("LogRetention lets writes go on however slowly a snapshot is sent, and ends it then", async (t) => {
  const { retention, clock, run, log, state } = sending({ entries: 10, fraction: 0 });
  const hourMs = 3_600_000;
  let [wroteMs, standMs] = [0, 0];
  for (; state.snapshot !== null && clock.nowMs() < hourMs; clock.advance(100)) {
    state.sentFraction = clock.nowMs() / hourMs;
    // As many as it lets pass.
    for (; !retention.isOutrun && state.snapshot !== null && log.lastIndex <= 201; wroteMs = clock.nowMs())
      log.lastIndex += 1;
    standMs = Math.max(standMs, clock.nowMs() - wroteMs);
    if (clock.nowMs() % 1_000 === 0) await run();
  }
  t.ok(standMs < 10_000, `no write for ${standMs} ms`);
  t.equal(state.snapshot, null, "it would have taken an hour");
  t.ok(clock.nowMs() > 400_000, `but it had some minutes: ${clock.nowMs()} ms`);
});

t.test("nextRecord() remembers who left, and forgets nobody's id too soon", async (t) => {
  const configuration = (voters: string[], outgoing: string[] = [], learners: string[] = []) => ({
    voters,
    outgoing,
    learners,
  });
  let record: MembershipRecord | null = null;
  record = nextRecord(record, configuration(["a", "b"], [], ["l"]));
  t.strictSame(record.retired, []);
  record = nextRecord(record, configuration(["a", "c"], ["a", "b"], ["l"]));
  t.strictSame(record.retired, [], "while it is joint, b still votes");
  record = nextRecord(record, configuration(["a", "c"]));
  t.strictSame(record.retired, ["b", "l"]);
  for (let nth = 0; nth < RETIRED_MAX + 5; nth++) {
    record = nextRecord(record, configuration(["a"], [], [`x${nth}`]));
  }
  t.equal(record.retired.length, RETIRED_MAX);
  t.equal(record.retired.at(-1), `x${RETIRED_MAX + 3}`);
  t.strictSame(decodeRecord(encodeRecord(record)), record);
});
