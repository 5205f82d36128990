import t from "tap";
import { SegmentPool } from "../../agent/log/segment-pool.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { RecordingLogger, SMALL_SEGMENT_BYTES } from "./log-fixture.ts";

function emptyPool(directory: MemoryDirectory, logger = new RecordingLogger()): SegmentPool {
  return new SegmentPool({
    directory,
    logger,
    segmentBytes: SMALL_SEGMENT_BYTES,
    prepared: [],
    nextNumber: 1,
  });
}

t.test("take() and reclaim() at once do not give one number to two files", async (t) => {
  const directory = new MemoryDirectory();
  const pool = emptyPool(directory);
  const first = await pool.take(0);
  // The name of what is reclaimed takes longer to become durable than a new file to be made.
  directory.onCall = ({ operation }) =>
    operation === "sync-directory" ? new Promise((resolve) => setImmediate(resolve, undefined)) : undefined;
  const taken = pool.take(0);
  pool.reclaim([first]);
  const second = await taken;
  await second.file.write(0, Buffer.from("a batch"));
  const third = await pool.take(0);
  t.same([first.number, second.number, third.number], [1, 2, 3]);
  t.equal(String(await second.file.read(0, 7)), "a batch");
  t.same(await directory.list(), ["0000000002.log", "0000000003.log"]);
});

t.test("reclaim() goes on behind a take() that found no room", async (t) => {
  const directory = new MemoryDirectory();
  const pool = emptyPool(directory);
  const first = await pool.take(0);
  directory.onCall = ({ operation }) => (operation === "write" ? "ENOSPC" : undefined);
  const taken = pool.take(0);
  pool.reclaim([first]);
  await t.rejects(taken, { code: "log-full" });
  await pool.settle();
  t.equal((await pool.take(0)).number, 2, "what was reclaimed is used");
});

t.test("prepare() tells of a failure once, and when it has ended", async (t) => {
  const directory = new MemoryDirectory();
  const logger = new RecordingLogger();
  const pool = emptyPool(directory, logger);
  const prepareOften = async (operation: string, code: "ENOSPC" | "EACCES"): Promise<void> => {
    directory.onCall = (call) => (call.operation === operation ? code : undefined);
    for (let nth = 0; nth < 3; nth++) {
      pool.prepare();
      await pool.settle();
    }
  };
  const told = (): readonly string[] =>
    logger.lines.splice(0).map(({ level, message }) => `${level} ${message.replace(/;.*/, "")}`);

  // As on a disk without inodes.
  await prepareOften("open", "ENOSPC");
  t.same(told(), ["warn raft log: could not prepare a segment"], "nothing was there to be removed");
  await prepareOften("write", "ENOSPC");
  t.same(told(), []);
  await prepareOften("open", "EACCES");
  t.same(told(), ["warn raft log: could not prepare a segment"], "another reason");
  directory.onCall = ({ operation }) =>
    operation === "write" ? "ENOSPC" : operation === "remove" ? "EACCES" : undefined;
  pool.prepare();
  await pool.settle();
  t.same(told(), [
    "warn raft log: could not remove an unfinished segment",
    "warn raft log: could not prepare a segment",
  ]);
  directory.onCall = undefined;
  pool.prepare();
  await pool.settle();
  t.same(told(), ["info raft log: could prepare a segment again"]);
});
