import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { t } from "tap";
import { diskSpaceAt } from "../../agent/platform/disk-space.ts";
import { InvariantError } from "../../agent/platform/invariant.ts";
import { type DiskState, diskStateOf } from "../../agent/replica/disk-state.ts";
import { DiskWatch } from "../../agent/replica/disk-watch.ts";
import { ManualClock } from "../platform/manual-clock.ts";

const WATERMARK = 64_000;

t.test("diskStateOf() goes by the watermark and a quarter of it", async (t) => {
  for (const [freeBytes, state] of [
    [Number.MAX_SAFE_INTEGER, "ok"],
    [64_000, "ok"],
    [63_999, "low"],
    [16_000, "low"],
    [15_999, "critical"],
    [0, "critical"],
  ] as const) {
    t.equal(diskStateOf(freeBytes, "ok", WATERMARK), state, `${freeBytes} bytes`);
  }
});

t.test("diskStateOf() leaves a state only well above where it began", async (t) => {
  t.equal(diskStateOf(64_000, "low", WATERMARK), "low");
  t.equal(diskStateOf(72_000, "low", WATERMARK), "ok");
  t.equal(diskStateOf(16_000, "critical", WATERMARK), "critical");
  t.equal(diskStateOf(18_000, "critical", WATERMARK), "low");
  t.equal(diskStateOf(64_000, "critical", WATERMARK), "low");
  t.equal(diskStateOf(80_000, "critical", WATERMARK), "ok");
});

t.test("diskStateOf() with a watermark of 0 is always ok", async (t) => {
  for (const before of ["ok", "low", "critical"] as const) t.equal(diskStateOf(0, before, 0), "ok");
});

t.test("diskSpaceAt() counts what this process may write", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "trivet-test-"));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  t.ok((await diskSpaceAt(directory).freeBytes()) > 0);
  await t.rejects(diskSpaceAt(join(directory, "missing")).freeBytes(), { code: "ENOENT" });
});

t.test("DiskWatch tells each change, and keeps what it knows while it cannot look", async (t) => {
  const clock = new ManualClock();
  const lines: string[] = [];
  let free: number | Error = 70_000;
  const watch = new DiskWatch({
    space: {
      freeBytes: async () => {
        if (free instanceof Error) throw free;
        return free;
      },
    },
    watermarkBytes: WATERMARK,
    clock,
    logger: { log: (level, message) => lines.push(`${level} ${message}`) },
    onFailed: (error) => t.fail("failed", { error }),
  });
  const told: DiskState[] = [];
  watch.onChange((state) => told.push(state));
  /** Lets the next look end. */
  const look = async (): Promise<void> => {
    clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await watch.start();
  t.equal(watch.freeBytes, 70_000);
  free = 60_000;
  await look();
  free = Object.assign(new Error("i/o error"), { code: "EIO" });
  await look();
  await look();
  t.equal(watch.state, "low");
  t.equal(watch.freeBytes, null, "nobody is told how much it was once");
  t.equal(lines.filter((line) => line.includes("cannot be read")).length, 1, "said once");
  free = 100;
  await look();
  free = 90_000;
  await look();
  t.strictSame(told, ["low", "critical", "ok"]);
  watch.stop();
  t.equal(clock.timers, 0);
});

t.test("DiskWatch with a watermark of 0 never looks", async (t) => {
  const clock = new ManualClock();
  const space = { freeBytes: async () => t.fail("looked") as never };
  const watch = new DiskWatch({
    ...{ space, watermarkBytes: 0, clock },
    logger: { log: () => undefined },
    onFailed: (error) => t.fail("failed", { error }),
  });
  await watch.start();
  t.equal(watch.state, "ok");
  t.equal(clock.timers, 0);
});

t.test("DiskWatch goes on when a disk hangs: its room is unknown until it answers again", async (t) => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const questions: ((bytes: number) => void)[] = [];
  const watch = new DiskWatch({
    space: { freeBytes: () => new Promise((resolve) => questions.push(resolve)) },
    watermarkBytes: WATERMARK,
    clock,
    logger: { log: (_level, message) => lines.push(message) },
    onFailed: (error) => t.fail("failed", { error }),
  });
  /** Seconds in which the disk says nothing. */
  const hang = async (seconds: number): Promise<void> => {
    for (let ms = 0; ms < seconds * 1_000; ms += 100) {
      clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const started = watch.start();
  await hang(3);
  await started;
  t.strictSame([watch.state, watch.freeBytes], ["ok", null], "the start does not wait for it");
  await hang(30);
  t.equal(questions.length, 1, "a question that hangs is not asked twice");
  t.equal(lines.length, 1, "said once");
  questions[0]?.(100);
  await hang(1);
  t.strictSame([watch.state, watch.freeBytes], ["critical", 100]);
  t.equal(questions.length, 2, "and it looks on");
  watch.stop();
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(clock.timers, 0, "the question that is under way holds nothing");
});

t.test("DiskWatch hides no error of its listeners", async (t) => {
  const failures: unknown[] = [];
  const clock = new ManualClock();
  let free = 70_000;
  const watch = new DiskWatch({
    space: { freeBytes: async () => free },
    ...{ watermarkBytes: WATERMARK, clock, logger: { log: () => undefined } },
    onFailed: (error) => failures.push(error),
  });
  await watch.start();
  const broken = new InvariantError("broken");
  watch.onChange(() => {
    throw broken;
  });
  free = 100;
  clock.advance(500);
  await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(failures, [broken]);
  watch.stop();
});

t.test("DiskWatch that a listener stops looks no more", async (t) => {
  const clock = new ManualClock();
  const watch = new DiskWatch({
    space: { freeBytes: async () => 100 },
    watermarkBytes: WATERMARK,
    clock,
    logger: { log: () => undefined },
    onFailed: (error) => t.fail("failed", { error }),
  });
  watch.onChange(() => watch.stop());
  await watch.start();
  t.equal(watch.state, "critical");
  t.equal(clock.timers, 0);
});
