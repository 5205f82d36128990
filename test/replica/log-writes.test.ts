import { t } from "tap";
import type { DurableLog } from "../../agent/log/durable-log.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { LogWrite } from "../../agent/raft/outbox.ts";
import type { Entry, HardState, LogPosition } from "../../agent/raft/types.ts";
import { LogWrites } from "../../agent/replica/log-writes.ts";
import { command, commands, hardState, openLog, reopen, seededRandom } from "../log/log-fixture.ts";
import { ManualClock } from "../platform/manual-clock.ts";

/** As the agent's: several batches fit into one. */
const SEGMENT_BYTES = 4 * 1024 * 1024;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Writes to a real log on a disk in memory, whose room for further segments can be taken away. */
class Scene {
  readonly directory: MemoryDirectory;
  readonly clock = new ManualClock();
  readonly persisted: number[] = [];
  readonly hardStates: number[] = [];
  readonly restored: LogPosition[] = [];
  readonly failures: unknown[] = [];
  refusal: string | null = null;
  readonly writes: LogWrites;
  readonly log: DurableLog;
  #sequence = 0;

  private constructor(directory: MemoryDirectory, log: DurableLog) {
    this.directory = directory;
    this.log = log;
    this.writes = new LogWrites({
      log,
      entryRefusal: () => this.refusal,
      clock: this.clock,
      random: seededRandom(1),
      logger: { log: () => undefined },
      onPersisted: (sequence) => this.persisted.push(sequence),
      onHardStatePersisted: (sequence) => this.hardStates.push(sequence),
      commit: 0,
      onRestored: (position) => this.restored.push(position),
      onFailed: (error) => this.failures.push(error),
    });
  }

  static async open(segmentBytes?: number): Promise<Scene> {
    const directory = new MemoryDirectory();
    const { log } = await openLog(directory, segmentBytes);
    return new Scene(directory, log);
  }

  /** There is no room for another segment; a sync takes so many turns of the event loop. */
  setFull(isFull: boolean, syncTurns = 0): void {
    this.directory.onCall = isFull
      ? async ({ operation, name }) => {
          if (operation === "sync") await turns(syncTurns);
          return operation === "write" && name === "next.tmp" ? "ENOSPC" : undefined;
        }
      : undefined;
  }

  /** Sequences grow by one. */
  write(entries: readonly Entry[], state: HardState, restored: LogPosition | null = null): number {
    const write: LogWrite = { sequence: ++this.#sequence, restored, hardState: state, entries };
    this.writes.write(write);
    return write.sequence;
  }

  async settle(ms = 0, count = 20): Promise<void> {
    this.clock.advance(ms);
    await turns(count);
  }

  /** Entries of 200 bytes from `from` on until the disk is full; resolves with the last one that was written. */
  async fill(from: number, commit: number): Promise<number> {
    this.setFull(true);
    for (let index = from; index < from + 200; index++) {
      this.write([command(index, 1, 200)], hardState(1, "a", commit));
      await this.settle();
      if (this.writes.isFull) return index;
    }
    throw new Error(`The disk never became full: ${this.failures}`);
  }
}

t.test(
  "LogWrites: a log without room is no failure; what waits goes in, in order, once there is some",
  async (t) => {
    const scene = await Scene.open();
    const last = await scene.fill(1, 0);
    const before = scene.persisted.at(-1);
    t.equal(before, last - 1, "the last one found no room");
    // Elections go on, an uncommitted tail is replaced: all of it waits, and gathers in one write.
    for (let term = 2; term <= 50; term++) scene.write([], hardState(term, null, 0));
    scene.write(commands(last - 3, 3, 50), hardState(50, "b", 0));
    const sequence = scene.write([command(last, 50)], hardState(50, "b", 0));
    await scene.settle(5_000);
    await scene.settle(5_000);
    t.ok(scene.writes.isFull);
    t.equal(scene.persisted.at(-1), before, "nothing goes out of turn");
    t.equal(scene.hardStates.at(-1), sequence, "but for terms and votes");
    const voted = await reopen(scene.directory.copy());
    t.match(voted.recovered.hardState, { term: 50, vote: "b", commit: 0 }, "which outlive a power cut");
    t.equal(voted.recovered.entries.length, last - 1);
    scene.setFull(false);
    await scene.settle(5_000);
    t.notOk(scene.writes.isFull);
    t.equal(scene.persisted.at(-1), sequence);
    t.strictSame(scene.failures, []);
    const { recovered } = await reopen(scene.directory);
    t.strictSame(recovered.hardState, hardState(50, "b", 0));
    t.strictSame(
      recovered.entries.map(({ index, term }) => [index, term]),
      Array.from({ length: last }, (_, nth) => [nth + 1, nth + 1 < last - 3 ? 1 : 50]),
    );
  },
);

t.test("LogWrites: on a full disk a base still goes in, and what it frees takes what waits", async (t) => {
  const scene = await Scene.open();
  // Several segments, so that a base frees one; then none is left.
  let index = 1;
  for (; scene.log.segments < 4; index++) {
    scene.write([command(index, 1, 200)], hardState(1, "a", 0));
    await scene.settle();
  }
  const last = await scene.fill(index, 0);
  // On its way at the same time, and from before the base.
  const term = scene.write([], hardState(2, null, 0));
  await scene.writes.compact({ index: index - 2, term: 1 });
  await scene.settle(5_000);
  t.notOk(scene.writes.isFull);
  t.strictSame(scene.failures, []);
  t.equal(scene.persisted.at(-1), term);
  const { recovered } = await reopen(scene.directory);
  t.strictSame(recovered.base, { index: index - 2, term: 1 });
  t.equal(recovered.entries.at(-1)?.index, last);
  t.strictSame(
    recovered.hardState,
    hardState(2, null, index - 2),
    "a base is committed, also where an older write waited",
  );
});

t.test("LogWrites: a snapshot's position goes before the entries behind it, and is told of", async (t) => {
  const scene = await Scene.open();
  scene.write(commands(1, 5, 1), hardState(1, "a", 2));
  scene.write([command(91, 3)], hardState(3, null, 90), { index: 90, term: 2 });
  await scene.settle();
  t.strictSame(scene.persisted, [1, 2]);
  t.strictSame(scene.restored, [{ index: 90, term: 2 }]);
  const { recovered } = await reopen(scene.directory);
  t.strictSame(recovered.base, { index: 90, term: 2 });
  t.strictSame(
    recovered.entries.map(({ index }) => index),
    [91],
  );
});

t.test("LogWrites: a disk that fails is the end", async (t) => {
  const scene = await Scene.open();
  scene.directory.onCall = ({ operation }) => (operation === "sync" ? "EIO" : undefined);
  scene.write([command(1, 1)], hardState(1, "a", 0));
  scene.write([command(2, 1)], hardState(1, "a", 0));
  await scene.settle(60_000);
  t.match(scene.failures, [{ code: "log-failed" }]);
  t.equal(scene.failures.length, 1);
  t.strictSame(scene.persisted, []);
  t.equal(scene.clock.timers, 0, "nothing is tried again");
});

t.test(
  "LogWrites: a snapshot goes ahead of entries that wait for room, and makes void what it covers",
  async (t) => {
    const scene = await Scene.open(SEGMENT_BYTES);
    scene.write(commands(1, 3, 1), hardState(1, "a", 3));
    await scene.settle();
    scene.refusal = "There is no room.";
    // More than goes to the disk in one batch.
    scene.write(commands(4, 30, 1, 40_000), hardState(1, "a", 3));
    scene.write([command(20, 2)], hardState(2, null, 3));
    await scene.settle(5_000);
    t.ok(scene.writes.isFull);
    const last = scene.write([], hardState(2, "b", 500), { index: 500, term: 2 });
    await scene.settle();
    t.strictSame(scene.restored, [{ index: 500, term: 2 }], "it needs no room, and makes some");
    const { recovered } = await reopen(scene.directory.copy());
    t.match(recovered, { base: { index: 500, term: 2 }, hardState: hardState(2, "b", 500) });
    t.strictSame(recovered.entries, []);
    await scene.settle(5_000);
    t.equal(scene.persisted.at(-1), last, "nothing else was left to be written");
    t.notOk(scene.writes.isFull);
    t.strictSame(scene.failures, []);
  },
);

t.test("LogWrites: what goes on behind a snapshot waits for room, while that is durable", async (t) => {
  const scene = await Scene.open();
  scene.write(commands(1, 3, 1), hardState(1, "a", 3));
  await scene.settle();
  scene.refusal = "There is no room.";
  const first = scene.write(commands(4, 10, 1), hardState(1, "a", 3));
  await scene.settle();
  scene.write(commands(9, 5, 1), hardState(1, "a", 8), { index: 8, term: 1 });
  await scene.settle();
  // A second one, before what is behind the first has found room.
  scene.write(commands(11, 3, 1), hardState(1, "a", 10), { index: 10, term: 1 });
  const last = scene.write([command(13, 2), command(14, 2)], hardState(2, null, 10));
  for (let tries = 0; tries < 3; tries++) await scene.settle(5_000);
  t.strictSame(
    scene.restored.map(({ index }) => index),
    [8, 10],
  );
  t.equal(scene.persisted.at(-1), first - 1);
  const waiting = (await reopen(scene.directory.copy())).recovered;
  t.match(waiting, { base: { index: 10, term: 1 }, hardState: hardState(2, null, 10) });
  t.strictSame(waiting.entries, []);
  scene.refusal = null;
  await scene.settle(5_000);
  t.equal(scene.persisted.at(-1), last);
  t.strictSame(scene.failures, []);
  t.strictSame(scene.restored.length, 2, "each is told of once");
  const { recovered } = await reopen(scene.directory);
  t.strictSame(
    recovered.entries.map(({ index, term }) => [index, term]),
    [
      [11, 1],
      [12, 1],
      [13, 2],
      [14, 2],
    ],
  );
});

t.test(
  "LogWrites: a snapshot that is refused together with the entries before it goes in by itself",
  async (t) => {
    const scene = await Scene.open();
    let index = 1;
    for (; scene.log.segments < 4; index++) {
      scene.write([command(index, 1, 200)], hardState(1, "a", index - 1));
      await scene.settle();
    }
    const last = await scene.fill(index, index - 1);
    // While the retry of the first is on its way, another and a snapshot come.
    scene.setFull(true, 10);
    await scene.settle(5_000, 3);
    scene.write([command(last + 1, 1, 200)], hardState(1, "a", index - 1));
    const newest = scene.write([], hardState(1, "a", last + 100), { index: last + 100, term: 1 });
    for (let tries = 0; tries < 5; tries++) await scene.settle(5_000, 100);
    t.strictSame(scene.failures, []);
    t.strictSame(scene.restored, [{ index: last + 100, term: 1 }]);
    t.equal(scene.persisted.at(-1), newest);
  },
);

t.test("LogWrites: a base that finds the log busy waits, and is no failure", async (t) => {
  const scene = await Scene.open(SEGMENT_BYTES);
  scene.write(commands(1, 20, 1), hardState(1, "a", 20));
  await scene.settle();
  let release = (): void => undefined;
  const held = new Promise<undefined>((resolve) => {
    release = () => resolve(undefined);
  });
  scene.directory.onCall = ({ operation }) => (operation === "sync" ? held : undefined);
  let last = 20;
  for (; !scene.writes.isFull; await turns(1))
    scene.write([command(++last, 1, 1024 * 1024)], hardState(1, "a", 20));
  await scene.writes.compact({ index: 10, term: 1 });
  t.match(scene.writes.wait, { reason: /The Raft log takes no more for now/ });
  scene.directory.onCall = undefined;
  release();
  await scene.settle(0, 200);
  await scene.settle(5_000, 200);
  t.strictSame(scene.failures, []);
  t.equal(scene.persisted.at(-1), last - 19);
  const { recovered } = await reopen(scene.directory);
  t.strictSame(recovered.base, { index: 10, term: 1 });
  t.equal(recovered.entries.at(-1)?.index, last);
});

t.test("LogWrites: where entries are refused, all behind them wait, but for terms and votes", async (t) => {
  const scene = await Scene.open();
  scene.write(commands(1, 3, 1), hardState(1, "a", 0));
  await scene.settle();
  scene.refusal = "There is no room.";
  // Of a leader whose term comes with its first entry: nothing else may follow for long.
  const first = scene.write([command(4, 2)], hardState(2, null, 3));
  await scene.settle();
  t.equal(scene.hardStates.at(-1), first, "the term has gone ahead by itself");
  t.strictSame(scene.writes.wait, { ms: 0, reason: "There is no room." });
  const behind = scene.write([], hardState(2, "b", 3));
  await scene.settle();
  t.equal(scene.hardStates.at(-1), behind);
  t.equal(scene.persisted.at(-1), first - 1);
  t.match((await reopen(scene.directory.copy())).recovered.hardState, { term: 2, vote: "b" });
  await scene.writes.compact({ index: 2, term: 1 });
  t.strictSame((await reopen(scene.directory.copy())).recovered.base, { index: 2, term: 1 });
  scene.refusal = null;
  await scene.settle(5_000);
  t.equal(scene.persisted.at(-1), behind);
  t.equal(scene.writes.wait, null);
  t.strictSame(scene.failures, []);
});

t.test("LogWrites: a retry does not overtake a term that is going ahead on a slow disk", async (t) => {
  const scene = await Scene.open();
  scene.setFull(true);
  const last = await scene.fill(1, 0);
  scene.setFull(true, 200);
  scene.write([], hardState(2, "b", 0));
  await scene.settle(50);
  t.strictSame(scene.hardStates, [last], "the vote is still on its way");
  scene.write([command(last + 1, 2)], hardState(2, "b", 0));
  await scene.settle(50, 1_000);
  t.strictSame(scene.failures, []);
  t.match((await reopen(scene.directory.copy())).recovered.hardState, { term: 2, vote: "b" });
  scene.setFull(false);
  for (let tries = 0; tries < 5; tries++) await scene.settle(5_000, 100);
  t.strictSame(scene.failures, []);
  t.equal(scene.persisted.at(-1), last + 2);
});

t.test("LogWrites: of what is refused together the newest term is kept", async (t) => {
  // Where the log becomes full is found out first: both must be on their way then.
  const full = await (await Scene.open()).fill(1, 0);
  const scene = await Scene.open();
  scene.setFull(true);
  for (let index = 1; index < full; index++) {
    scene.write([command(index, 1, 200)], hardState(1, "a", 0));
    await scene.settle();
  }
  scene.write([command(full, 1, 200)], hardState(1, "a", 0));
  t.notOk(scene.writes.isFull);
  const last = scene.write([command(full + 1, 2)], hardState(2, "b", 0));
  await scene.settle();
  t.ok(scene.writes.isFull);
  t.match((await reopen(scene.directory.copy())).recovered.hardState, { term: 2, vote: "b" });
  scene.setFull(false);
  await scene.settle(5_000);
  t.strictSame(scene.failures, []);
  t.equal(scene.persisted.at(-1), last);
  const { recovered } = await reopen(scene.directory);
  t.strictSame(recovered.hardState, hardState(2, "b", 0));
  t.match(recovered.entries.at(-1), { index: full + 1, term: 2 });
});

t.test("LogWrites: a base that is refused together with entries goes in by itself", async (t) => {
  // Where the log becomes full is found out first: the base must come in the same turn.
  const attempt = async (compactAt: number) => {
    const scene = await Scene.open();
    let index = 1;
    for (; scene.log.segments < 4; index++) {
      scene.write([command(index, 1, 200)], hardState(1, "a", index - 1));
      await scene.settle();
    }
    scene.setFull(true);
    for (; !scene.writes.isFull; index++) {
      scene.write([command(index, 1, 200)], hardState(1, "a", index - 2));
      if (index === compactAt) await scene.writes.compact({ index: index - 3, term: 1 });
      await scene.settle();
    }
    return { scene, last: index - 1 };
  };
  const { last } = await attempt(-1);
  const { scene } = await attempt(last);
  await scene.settle(5_000);
  await scene.settle(5_000);
  t.equal(scene.persisted.at(-1), last, "and what it frees takes the entries");
  t.strictSame((await reopen(scene.directory)).recovered.base, { index: last - 3, term: 1 });
});

t.test(
  "LogWrites: a disk that has been full for long is tried again soon when it is full anew",
  async (t) => {
    const scene = await Scene.open();
    const last = await scene.fill(1, 0);
    // The waits grow up to two seconds.
    for (let tries = 0; tries < 20; tries++) await scene.settle(2_000);
    scene.setFull(false);
    await scene.settle(2_000);
    t.notOk(scene.writes.isFull);
    await scene.fill(last + 1, 0);
    scene.setFull(false);
    await scene.settle(50);
    t.notOk(scene.writes.isFull);
    t.strictSame(scene.failures, []);
  },
);
