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

/** Entries of 132 bytes each, from `first` to `last`. */
class SomeLog {
  firstIndex: number;
  readonly lastIndex: number;
  applicableIndex: number;

  constructor(first: number, last: number) {
    this.firstIndex = first;
    this.lastIndex = last;
    this.applicableIndex = last;
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
    sentFraction?: number;
    needed?: number;
    onCheckpoint?: () => void;
  },
) {
  const compacted: number[] = [];
  const failures: unknown[] = [];
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
    onFailed: (error) => failures.push(error),
  });
  const run = async (): Promise<void> => {
    retention.maybeRun();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { retention, run, compacted, failures, checkpoints: () => checkpoints };
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

t.test("LogRetention is outrun where the log would reach its bound before a snapshot is sent", async (t) => {
  const at = (entries: number, sentFraction?: number): boolean => {
    const state = {
      durable: 0,
      snapshot: { index: 1, term: 2 },
      ...(sentFraction === undefined ? {} : { sentFraction }),
    };
    return retentionOf(new SomeLog(1, entries), state).retention.isOutrun;
  };
  t.notOk(at(199), "nobody takes it");
  t.notOk(at(100, 0));
  t.ok(at(101, 0), "half of the bound");
  t.notOk(at(140, 0.5));
  t.ok(at(141, 0.5));
  t.notOk(at(180, 1));
  t.ok(at(181, 1), "something is left for the installation");
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
