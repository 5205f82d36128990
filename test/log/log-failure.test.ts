import t from "tap";
import { SEGMENT_BYTES } from "../../agent/log/durable-log.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { command, hardState, openLog, reopen, seededRandom } from "./log-fixture.ts";

for (const operation of ["write", "sync"] as const) {
  t.test(
    `a failed ${operation} is not tried again: log-failed for all that wait and all that come`,
    async (t) => {
      const directory = new MemoryDirectory();
      const { log } = await openLog(directory);
      await log.append({ entries: [command(1, 1)], hardState: hardState(1, "a", 0) });
      let failures = 0;
      directory.onCall = (call) => {
        if (call.operation !== operation) return undefined;
        failures += 1;
        return "EIO";
      };
      const calls = [2, 3].map((index) => log.append({ entries: [command(index, 1)] }));
      await null;
      const later = [4, 5].map((index) => log.append({ entries: [command(index, 1)] }));
      for (const outcome of await Promise.allSettled([...calls, ...later])) {
        t.match(outcome, { status: "rejected", reason: { code: "log-failed", cause: { code: "EIO" } } });
      }
      directory.onCall = undefined;
      await t.rejects(log.append({ entries: [command(2, 1)] }), { code: "log-failed" });
      await t.rejects(log.append({ entries: [], hardState: hardState(1, "a", 1) }), { code: "log-failed" });
      await t.rejects(log.compact({ index: 1, term: 1 }), { code: "log-failed" });
      t.equal(failures, 1);
      await log.close();
      const { recovered } = await reopen(directory);
      t.same(recovered.entries.slice(0, 1), [command(1, 1)]);
      t.same(recovered.hardState, hardState(1, "a", 0));
    },
  );
}

t.test("open() makes durable again what a failed sync has left in memory only", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  directory.onCall = ({ operation }) => (operation === "sync" ? "EIO" : undefined);
  await t.rejects(log.append({ entries: [command(1, 1)] }), { code: "log-failed" });
  const next = directory.kill();
  const { recovered } = await openLog(next);
  t.same(recovered.entries, [command(1, 1)], "the next process can read it");
  t.same((await reopen(next)).recovered.entries, [command(1, 1)], "and so has made it durable");
});

t.test("the length that a segment says it has is durable before it says so", async (t) => {
  const SECOND = "0000000002.log";
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  /** Resolves when a sync of the second segment is under way, which then never ends. */
  const untilSyncHangs = (disk: MemoryDirectory): Promise<void> =>
    new Promise((resolve) => {
      disk.onCall = ({ operation, name }) => {
        if (operation !== "sync" || name !== SECOND) return undefined;
        resolve();
        return "halt";
      };
    });
  const made = untilSyncHangs(directory);
  void log.append({ entries: [command(1, 1, 20_000)] });
  await made;
  // The process is killed: the next one finds the segment longer than the disk has it.
  const next = directory.kill();
  const again = await openLog(next);
  const used = untilSyncHangs(next);
  void (async () => {
    for (let index = 1; index <= 6; index += 1)
      await again.log.append({ entries: [command(index, 1, 1_000)] });
  })();
  await used;
  for (let seed = 1; seed <= 100; seed += 1) {
    const { recovered } = await openLog(next.copy().crash(seededRandom(seed)));
    t.ok(recovered.entries.length >= 2, `seed ${seed}: ${recovered.entries.length} entries`);
  }
});

t.test(
  "a full disk: log-full before anything is written, term and base still go in, then it goes on",
  async (t) => {
    const directory = new MemoryDirectory();
    const { log } = await openLog(directory);
    let written = 0;
    const append = async (): Promise<void> => {
      await log.append({ entries: [command(written + 1, 1, 200)], hardState: hardState(1, "a", written) });
      written += 1;
    };
    while (log.segments < 4) await append();
    directory.onCall = ({ operation, name }) =>
      operation === "write" && name === "next.tmp" ? "ENOSPC" : undefined;
    const full: unknown = await (async () => {
      for (;;) await append();
    })().catch((error: unknown) => error);
    t.match(full, { code: "log-full", cause: { code: "ENOSPC" } });
    t.notOk((await directory.list()).includes("next.tmp"), "the unfinished segment gives its space back");
    await t.rejects(append(), { code: "log-full" });
    await log.append({ entries: [], hardState: hardState(2, "b", written) });
    t.same((await openLog(directory.copy())).recovered.hardState, hardState(2, "b", written));
    await t.rejects(log.append({ entries: [command(written + 1, 2, 200)] }), { code: "log-full" });
    await log.compact({ index: written - 1, term: 1 });
    await log.append({ entries: [command(written + 1, 2, 200)] });
    const { recovered } = await reopen(directory);
    t.same(
      recovered.entries,
      [command(written, 1, 200), command(written + 1, 2, 200)],
      "in a segment used again",
    );
  },
);

t.test("a full disk: after elections without end a base still goes in, and the log closes", async (t) => {
  const vote = "m".repeat(41);
  for (const [segmentBytes, bytes, electionsMin] of [
    [4_096, 200, 1],
    [SEGMENT_BYTES, 100_000, 250],
  ] as const) {
    const directory = new MemoryDirectory();
    const { log } = await openLog(directory, segmentBytes);
    let written = 0;
    directory.onCall = ({ operation, name }) =>
      operation === "write" && name === "next.tmp" ? "ENOSPC" : undefined;
    const fill = async (): Promise<never> => {
      for (;;) {
        await log.append({ entries: [command(written + 1, 1, bytes)], hardState: hardState(1, vote, 0) });
        written += 1;
      }
    };
    await t.rejects(fill(), { code: "log-full" });
    let term = 1;
    // Each time somebody campaigns, and gets this member's vote.
    const elect = async (): Promise<never> => {
      for (; ; term += 1) {
        await log.append({ entries: [], hardState: hardState(term + 1, null, 0) });
        await log.append({ entries: [], hardState: hardState(term + 1, vote, 0) });
      }
    };
    await t.rejects(elect(), { code: "log-full" });
    t.ok(term - 1 >= electionsMin, `${term - 1} elections`);
    await log.compact({ index: written, term: 1 });
    await log.close();
    const { recovered } = await reopen(directory);
    t.strictSame(recovered.base, { index: written, term: 1 });
    t.ok(recovered.hardState.term >= term, "what was acknowledged");
  }
});

t.test("a full disk: what was refused does not pass for written", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  directory.onCall = ({ operation, name }) =>
    operation === "write" && name === "next.tmp" ? "ENOSPC" : undefined;
  const refused = { entries: [command(1, 1, 4000)], hardState: hardState(1, "a", 0) };
  const message = /^Making a segment of the Raft log failed: no space is left\. Nothing was written\./;
  await t.rejects(log.append(refused), { code: "log-full", message });
  await log.append({ entries: [], hardState: hardState(1, "a", 0) });
  t.match((await reopen(directory)).recovered, { entries: [], hardState: hardState(1, "a", 0) });
});

t.test("a segment that cannot be made is one failure, told once", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  directory.onCall = ({ name }) => (name === "next.tmp" ? "EIO" : undefined);
  const message =
    /^Making a segment of the Raft log failed: EIO: [^:]*\. The log takes no more writes: [^:]*$/;
  for (let index = 1; index <= 2; index += 1) {
    const refused = log.append({ entries: [command(index, 1, 4000)], hardState: hardState(1, "a", 0) });
    await t.rejects(refused, { code: "log-failed", message });
  }
});

t.test("open() on a full disk rejects with log-full", async (t) => {
  const directory = new MemoryDirectory();
  directory.onCall = ({ operation }) => (operation === "write" ? "ENOSPC" : undefined);
  await t.rejects(openLog(directory), { code: "log-full" });
});

for (const operation of ["rename", "remove", "sync-directory"] as const) {
  t.test(
    `segments that a failed ${operation} has left are used again or removed by the next compact()`,
    async (t) => {
      const directory = new MemoryDirectory();
      const { log } = await openLog(directory);
      const compact = async (from: number, to: number): Promise<void> => {
        for (let index = from; index <= to; index += 1) {
          await log.append({ entries: [command(index, 1, 200)], hardState: hardState(1, "a", index) });
        }
        // Only here: a segment that is to be written to must have its name.
        directory.onCall = (call) => (call.operation === operation && from > 1 ? "EIO" : undefined);
        await log.compact({ index: to, term: 1 });
        directory.onCall = undefined;
      };
      await compact(1, 100);
      const { bytes } = log;
      await compact(101, 300);
      t.equal(log.bytes, (await directory.list()).length * 4096, "what is left is told");
      await log.compact({ index: 300, term: 1 });
      t.equal(log.bytes, bytes);
      t.equal((await directory.list()).length, log.segments);
      t.same((await reopen(directory)).recovered.base, { index: 300, term: 1 });
    },
  );
}
