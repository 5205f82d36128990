import fc from "fast-check";
import t from "tap";
import { DurableLog } from "../../agent/log/durable-log.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { ConfigurationEntry, Entry } from "../../agent/raft/types.ts";
import {
  command,
  commands,
  hardState,
  openLog,
  RecordingLogger,
  reopen,
  seededRandom,
} from "./log-fixture.ts";
import { applyStep, EMPTY_MODEL, isRecoveredAs, randomStep } from "./log-model.ts";

const NOTHING = {
  base: { index: 0, term: 0 },
  entries: [],
  hardState: { term: 0, vote: null, commit: 0 },
  tornBytes: 0,
};

t.test("open() makes an empty log, and finds it again", async (t) => {
  const directory = new MemoryDirectory();
  t.same((await openLog(directory)).recovered, NOTHING);
  t.same((await reopen(directory)).recovered, NOTHING);
});

t.test("read() changes nothing: what it takes for torn is cut by open() only", async (t) => {
  const writing = new MemoryDirectory();
  const { log } = await openLog(writing);
  await log.append({ entries: commands(1, 2, 1), hardState: hardState(1, "a", 1) });
  await log.append({ entries: commands(3, 1, 1) });
  const directory = writing.kill();
  const [name = ""] = await directory.list();
  const file = await directory.open(name);
  const image = await file.read(0, await file.size());
  const last = image.findLastIndex((byte) => byte !== 0);
  directory.flipBit(name, last, 0);
  const damaged = await file.read(0, image.length);
  const { content, open } = await DurableLog.read({ directory, logger: new RecordingLogger() });
  t.same(content, { base: NOTHING.base, entries: commands(1, 2, 1), hardState: hardState(1, "a", 1) });
  t.ok(damaged.equals(await file.read(0, image.length)));
  const { log: mended, recovered } = await open();
  t.same({ ...content, tornBytes: recovered.tornBytes }, recovered);
  t.ok(recovered.tornBytes > 0);
  await mended.append({ entries: commands(3, 2, 1) });
  t.same((await reopen(directory)).recovered.entries, commands(1, 4, 1));
});

t.test("open() refuses segments that are too small", async (t) => {
  for (const segmentBytes of [0, 4095, 4100]) {
    await t.rejects(openLog(new MemoryDirectory(), segmentBytes), { name: "InvariantError" });
  }
});

t.test("append() makes entries of every kind durable, as they were", async (t) => {
  const configuration: ConfigurationEntry = {
    kind: "configuration",
    index: 2,
    term: 1,
    configuration: { voters: ["a", "b"], outgoing: ["c"], learners: ["ü"] },
  };
  const entries: Entry[] = [
    { kind: "noop", index: 1, term: 1 },
    configuration,
    command(3, 1, 0),
    command(4, 2 ** 40, 7),
    command(5, 2 ** 53 - 1, 8),
  ];
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  await log.append({ entries, hardState: hardState(2 ** 53 - 1, "a member", 5) });
  const { recovered } = await reopen(directory);
  t.same(recovered, { ...NOTHING, entries, hardState: hardState(2 ** 53 - 1, "a member", 5) });
});

t.test("append() gives an error for what cannot be written, and takes nothing after it", async (t) => {
  const bad: readonly {
    readonly what: string;
    readonly entries: Entry[];
    readonly state?: ReturnType<typeof hardState>;
  }[] = [
    { what: "a gap", entries: [command(5, 1)] },
    { what: "a gap among the new", entries: [command(4, 1), command(6, 1)] },
    { what: "an older term", entries: [command(4, 0)] },
    { what: "a committed entry replaced", entries: [command(2, 1)] },
    { what: "a term that is no whole number", entries: [command(4, 1.5)] },
    { what: "a term above 2^53 - 1", entries: [command(4, 2 ** 53)] },
    { what: "an entry that is too long", entries: [command(4, 1, 64 * 1024 * 1024 + 1)] },
    { what: "a commit index behind the end", entries: [command(4, 1)], state: hardState(1, "a", 5) },
    { what: "a falling commit index", entries: [], state: hardState(1, "a", 1) },
    { what: "a falling term", entries: [], state: hardState(0, null, 2) },
    { what: "a changed vote", entries: [], state: hardState(1, "b", 2) },
    { what: "an empty vote", entries: [], state: hardState(2, "", 2) },
  ];
  for (const { what, entries, state } of bad) {
    const directory = new MemoryDirectory();
    const { log } = await openLog(directory);
    const good = { entries: commands(1, 3, 1), hardState: hardState(1, "a", 2) };
    await log.append(good);
    await t.rejects(
      log.append({ entries, ...(state && { hardState: state }) }),
      { name: "InvariantError" },
      what,
    );
    t.same((await reopen(directory)).recovered, { ...NOTHING, ...good }, `${what} leaves the log as it was`);
  }
});

t.test("append() shares one sync among the calls that come together, and resolves in order", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory, 64 * 1024);
  const before = directory.count("sync");
  const writesBefore = directory.count("write");
  const order: number[] = [];
  let release = (): void => undefined;
  const released = new Promise<undefined>((resolve) => {
    release = () => resolve(undefined);
  });
  directory.onCall = ({ operation }) => (operation === "sync" ? released : undefined);
  const append = (index: number): Promise<void> =>
    log.append({ entries: [command(index, 1)] }).then(() => {
      order.push(index);
    });
  const calls = [append(1), append(2), append(3)];
  for (let turn = 0; directory.count("sync") === before && turn < 1000; turn += 1) await null;
  for (let index = 4; index <= 100; index += 1) calls.push(append(index));
  t.same(order, [], "nothing is acknowledged before its sync");
  release();
  await Promise.all(calls);
  t.equal(directory.count("sync") - before, 2, "one for the first three, one for those that came meanwhile");
  t.equal(directory.count("write") - writesBefore, 2);
  t.same(
    order,
    Array.from({ length: 100 }, (_, at) => at + 1),
  );
  directory.onCall = undefined;
  t.equal((await reopen(directory)).recovered.entries.length, 100);
});

t.test("append() of a commit index alone costs no sync and goes out with the next batch", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  await log.append({ entries: commands(1, 3, 1), hardState: hardState(1, "a", 0) });
  const before = directory.count("sync");
  await log.append({ entries: [], hardState: hardState(1, "a", 2) });
  await log.append({ entries: [], hardState: hardState(1, "a", 3) });
  t.equal(directory.count("sync"), before);
  await log.append({ entries: [command(4, 1)] });
  t.equal(directory.count("sync"), before + 1);
  t.same((await reopen(directory)).recovered.hardState, hardState(1, "a", 3));
});

t.test("append() of a commit index alone does not overtake the calls before it", async (t) => {
  const { log } = await openLog(new MemoryDirectory());
  const order: string[] = [];
  const entry = log.append({ entries: [command(1, 1)] }).then(() => order.push("entry"));
  const hint = log.append({ entries: [], hardState: hardState(0, null, 1) }).then(() => order.push("hint"));
  await Promise.all([entry, hint]);
  t.same(order, ["entry", "hint"]);
});

t.test("append() syncs a new term and a new vote", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  const before = directory.count("sync");
  await log.append({ entries: [], hardState: hardState(1, null, 0) });
  await log.append({ entries: [], hardState: hardState(1, "b", 0) });
  t.equal(directory.count("sync"), before + 2);
  t.same((await reopen(directory)).recovered.hardState, hardState(1, "b", 0));
});

t.test("append() replaces a suffix, also one in older segments", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  for (let index = 1; index <= 60; index += 1) await log.append({ entries: [command(index, 1, 200)] });
  t.ok(log.segments > 4);
  await log.append({ entries: commands(7, 2, 2) });
  await log.append({ entries: commands(9, 1, 2) });
  const { recovered } = await reopen(directory);
  t.same(recovered.entries, [...commands(1, 6, 1, 200), ...commands(7, 3, 2)]);
});

t.test("append() takes entries larger than a segment, and many of them", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  const entries = [
    command(1, 1, 1024 * 1024),
    command(2, 1, 3),
    command(3, 1, 5000),
    command(4, 1, 3 * 1024 * 1024),
  ];
  await Promise.all(entries.map((entry) => log.append({ entries: [entry] })));
  const { log: next, recovered } = await reopen(directory);
  t.ok(
    Buffer.from(
      recovered.entries.flatMap((entry) =>
        entry.kind === "command" ? [...entry.command.subarray(0, 5000)] : [],
      ),
    ).equals(Buffer.from(entries.flatMap((entry) => [...entry.command.subarray(0, 5000)]))),
  );
  t.same(
    recovered.entries.map((entry) => entry.kind === "command" && entry.command.length),
    [1024 * 1024, 3, 5000, 3 * 1024 * 1024],
  );
  await next.compact({ index: 4, term: 1 });
  t.ok(next.bytes <= 6 * 1024 * 1024, "a segment of unusual size is not kept for later");
});

t.test("append() rejects with log-busy when too much waits, and goes on after that", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  const shared = new Uint8Array(16 * 1024 * 1024);
  const calls = [1, 2, 3, 4, 5, 6].map((index) =>
    log.append({
      entries: [{ kind: "command", index, term: 1, command: shared }],
      hardState: hardState(1, "a", 0),
    }),
  );
  // It would fit, and must not overtake what was turned away.
  const small = log.append({ entries: [command(7, 1)], hardState: hardState(1, "a", 0) });
  await t.rejects(small, { code: "log-busy" });
  const outcomes = await Promise.allSettled(calls);
  const rejected = outcomes.filter((outcome) => outcome.status === "rejected");
  t.ok(rejected.length > 0);
  for (const { reason } of rejected) t.match(reason, { code: "log-busy" });
  const taken = outcomes.length - rejected.length;
  await log.append({ entries: [command(taken + 1, 1)], hardState: hardState(1, "a", 1) });
  t.equal((await reopen(directory)).recovered.entries.length, taken + 1);
});

t.test("compact() forgets entries, keeps the hard state, uses segments again", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  let most = 0;
  for (let index = 1; index <= 400; index += 1) {
    await log.append({ entries: [command(index, 1, 200)], hardState: hardState(1, "a", index) });
    if (index % 20 === 0) await log.compact({ index: index - 5, term: 1 });
    most = Math.max(most, log.segments);
  }
  t.ok(most <= 5, `at most ${most} segments`);
  t.ok(directory.count("rename") > 20);
  const made = (await directory.list()).length;
  t.equal(made, log.segments);
  t.equal(log.bytes, made * 4096);
  const { recovered } = await reopen(directory);
  t.same(recovered, {
    base: { index: 395, term: 1 },
    entries: commands(396, 5, 1, 200),
    hardState: hardState(1, "a", 400),
    tornBytes: 0,
  });
});

t.test("compact() to a snapshot that the log does not lead to forgets everything", async (t) => {
  const snapshots = [
    { what: "behind the last entry", base: { index: 20, term: 3 } },
    { what: "of another term", base: { index: 5, term: 3 } },
  ];
  for (const { what, base } of snapshots) {
    const directory = new MemoryDirectory();
    const { log } = await openLog(directory);
    await log.append({ entries: commands(1, 10, 1), hardState: hardState(3, null, 2) });
    await log.compact(base);
    await log.append({ entries: commands(base.index + 1, 2, 3) });
    const { recovered } = await reopen(directory);
    const entries = commands(base.index + 1, 2, 3);
    t.same(recovered, { base, entries, hardState: hardState(3, null, base.index), tornBytes: 0 }, what);
  }
});

t.test("compact() to a base that is not ahead changes nothing", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  await log.append({ entries: commands(1, 10, 1), hardState: hardState(1, null, 10) });
  await log.compact({ index: 6, term: 1 });
  const before = directory.count("sync");
  await log.compact({ index: 6, term: 1 });
  await log.compact({ index: 3, term: 1 });
  t.equal(directory.count("sync"), before);
  t.same((await reopen(directory)).recovered.base, { index: 6, term: 1 });
});

t.test("append() with a base resolves before the calls behind it: segments are put by later", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  for (let index = 1; index <= 60; index += 1) await log.append({ entries: [command(index, 1, 200)] });
  const before = log.segments;
  let goOn: () => void = () => undefined;
  const blocked = new Promise<undefined>((resolve) => {
    goOn = () => resolve(undefined);
  });
  directory.onCall = ({ operation }) => (operation === "rename" ? blocked : undefined);
  let isRestored = false;
  const base = { index: 80, term: 2 };
  const restored = log
    .append({ base, entries: commands(81, 1, 2), hardState: hardState(2, null, 80) })
    .then(() => {
      isRestored = true;
    });
  await log.append({ entries: commands(82, 1, 2) });
  t.ok(isRestored);
  t.equal(log.segments, before);
  goOn();
  await restored;
  await log.close();
  t.ok(log.segments < before, `${log.segments} of ${before} segments are left`);
});

t.test("close() writes the last commit index, is idempotent, and ends the log", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  const last = log.append({ entries: [command(1, 1)], hardState: hardState(1, "a", 0) });
  const hint = log.append({ entries: [], hardState: hardState(1, "a", 1) });
  await Promise.all([log.close(), log.close(), last, hint]);
  await t.rejects(log.append({ entries: [command(2, 1)] }), { code: "log-closed" });
  await t.rejects(log.compact({ index: 1, term: 1 }), { code: "log-closed" });
  t.same((await reopen(directory)).recovered.hardState, hardState(1, "a", 1));
});

t.test("every file is closed again", async (t) => {
  const directory = new MemoryDirectory();
  for (let life = 0; life < 3; life += 1) {
    const { log, recovered } = await openLog(directory);
    const from = (recovered.entries.at(-1)?.index ?? 0) + 1;
    for (let index = from; index < from + 50; index += 1)
      await log.append({ entries: [command(index, 1, 200)] });
    await log.close();
    t.equal(directory.count("open"), directory.count("close"));
  }
});

t.test("DurableLog holds what the simple model holds, through restarts", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 40 }),
      async (seed, choices) => {
        const random = seededRandom(seed);
        let directory = new MemoryDirectory();
        let { log } = await openLog(directory);
        let state = EMPTY_MODEL;
        for (const choice of choices) {
          const step = randomStep(random, state);
          state = applyStep(state, step);
          await (step.kind === "append" ? log.append(step.batch) : log.compact(step.base));
          if (choice > 1) continue;
          if (choice === 0) await log.close();
          directory = directory.crash(random);
          const opened = await openLog(directory);
          if (!isRecoveredAs(state, opened.recovered)) throw new Error("not what was written");
          state = { ...state, hardState: opened.recovered.hardState };
          log = opened.log;
        }
      },
    ),
    { numRuns: 150 },
  );
});

t.test("open() reports through the logger what it cut, and nothing after a clean start", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  await log.append({ entries: commands(1, 3, 1) });
  await log.append({ entries: commands(4, 3, 1) });
  const clean = new RecordingLogger();
  await DurableLog.open({ directory: directory.copy(), logger: clean });
  t.same(clean.lines, []);
  // The second record of the last batch: 3 records of 80 bytes each.
  const file = await directory.open("0000000001.log");
  const image = await file.read(0, 4096);
  const end = image.findLastIndex((byte) => byte !== 0);
  directory.flipBit("0000000001.log", end - 100, 0);
  const logger = new RecordingLogger();
  const { recovered } = await DurableLog.open({ directory, logger });
  t.equal(recovered.tornBytes, 240);
  t.same(recovered.entries, commands(1, 3, 1));
  t.match(logger.lines, [{ level: "warn", fields: { name: "0000000001.log", bytes: 240 } }]);
});
