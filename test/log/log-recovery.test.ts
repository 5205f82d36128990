import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { RecoveredLog } from "../../agent/log/log-types.ts";
import type { Directory } from "../../agent/platform/directory.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { NodeDirectory } from "../../agent/platform/node-directory.ts";
import { isTrivetError, messageOf } from "../../agent/platform/trivet-error.ts";
import { command, commands, hardState, openLog, SMALL_SEGMENT_BYTES, seededRandom } from "./log-fixture.ts";

const FIRST = "0000000001.log";
const SECOND = "0000000002.log";
const THIRD = "0000000003.log";

/** Where in a file the bytes of a batch are. */
interface Extent {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A log of some batches, one write each; `extents` says where they went. */
async function writeLog(options: {
  readonly batches: number;
  readonly bytes?: number;
  readonly closed?: boolean;
}): Promise<{ readonly directory: MemoryDirectory; readonly extents: readonly Extent[] }> {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  const extents: Extent[] = [];
  for (let batch = 0; batch < options.batches; batch += 1) {
    const before = await contentOf(directory);
    const from = batch * 2 + 1;
    await log.append({ entries: commands(from, 2, 1, options.bytes), hardState: hardState(1, "me", from) });
    extents.push(changeBetween(before, await contentOf(directory)));
  }
  if (options.closed === true) await log.close();
  return { directory: directory.copy(), extents };
}

async function contentOf(directory: Directory): Promise<ReadonlyMap<string, Buffer>> {
  const content = new Map<string, Buffer>();
  for (const name of await directory.list()) {
    const file = await directory.open(name);
    content.set(name, await file.read(0, await file.size()));
    await file.close();
  }
  return content;
}

/** Frames are padded to 8 bytes and never end in zeros alone, so the extent is rounded to them. */
function changeBetween(before: ReadonlyMap<string, Buffer>, after: ReadonlyMap<string, Buffer>): Extent {
  for (const [name, now] of after) {
    const was = before.get(name) ?? Buffer.alloc(now.length);
    const from = now.findIndex((byte, at) => byte !== was[at]);
    if (from === -1) continue;
    const last = now.findLastIndex((byte, at) => byte !== was[at]);
    return { name, from, to: Math.ceil((last + 1) / 8) * 8 };
  }
  throw new Error("nothing was written");
}

function entriesOf(batches: number, bytes?: number): RecoveredLog["entries"] {
  return commands(1, batches * 2, 1, bytes);
}

/** The recovered log, or the sentence of the corruption that was found; anything else fails. */
async function outcomeOf(directory: Directory): Promise<RecoveredLog | string> {
  try {
    const { log, recovered } = await openLog(directory);
    await log.close();
    return recovered;
  } catch (error) {
    if (!isTrivetError(error, "log-corrupt")) throw error;
    return messageOf(error);
  }
}

async function rejectsAsCorrupt(t: Test, directory: Directory, message: RegExp): Promise<void> {
  const before = await contentOf(directory);
  await t.rejects(openLog(directory), { code: "log-corrupt", message });
  await t.rejects(openLog(directory), { code: "log-corrupt", message }, "it stays so");
  t.same(await contentOf(directory), before, "nothing was changed");
}

/** A directory with these files, durably. */
async function holding(content: ReadonlyMap<string, Uint8Array>): Promise<Directory> {
  const directory = new MemoryDirectory();
  for (const [name, bytes] of content) await overwrite(directory, name, 0, bytes);
  await directory.sync();
  return directory;
}

async function overwrite(
  directory: Directory,
  name: string,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  const file = await directory.open(name);
  await file.write(offset, bytes);
  await file.sync();
  await file.close();
}

t.test(
  "real files: the last batch torn at every byte, zeroed or overwritten, costs that batch alone",
  async (t) => {
    const scratch = await mkdtemp(join(tmpdir(), "trivet-log-"));
    t.teardown(() => rm(scratch, { recursive: true }));
    const { directory, extents } = await writeLog({ batches: 3, bytes: 21 });
    const image = (await contentOf(directory)).get(FIRST) ?? Buffer.alloc(0);
    const last = extents[2];
    if (last === undefined) throw new Error("no last batch");
    t.equal(last.name, FIRST);
    // Behind it are the zeros that pad the last record.
    const contentEnd = image.findLastIndex((byte) => byte !== 0);
    const random = seededRandom(7);
    const damages: readonly { readonly what: string; readonly damage: (from: number) => Buffer }[] = [
      {
        what: "zeroed",
        damage: (from) => Buffer.concat([image.subarray(0, from), Buffer.alloc(image.length - from)]),
      },
      {
        what: "overwritten",
        damage: (from) =>
          Buffer.concat([image.subarray(0, from), random.bytes(last.to - from), image.subarray(last.to)]),
      },
    ];
    for (const { what, damage } of damages) {
      const path = join(scratch, what);
      const real = await NodeDirectory.open(path);
      let wrong = 0;
      for (let from = last.from; from <= contentEnd; from += 1) {
        for (const name of await real.list()) await real.remove(name);
        await writeFile(join(path, FIRST), damage(from));
        const found = await outcomeOf(real);
        const isRight =
          typeof found !== "string" &&
          JSON.stringify(found.entries) === JSON.stringify(entriesOf(2, 21)) &&
          found.hardState.term === 1 &&
          found.tornBytes <= last.to - last.from;
        if (!isRight) wrong += 1;
        // What was cut stays cut, also behind a new batch.
        if (from % 32 !== 0) continue;
        const { log } = await openLog(real);
        await log.append({ entries: [command(5, 2, 9)] });
        await log.close();
        t.match(await outcomeOf(real), { entries: [...entriesOf(2, 21), command(5, 2, 9)], tornBytes: 0 });
      }
      t.equal(wrong, 0, `${what} from each of ${last.to - last.from} bytes`);
    }
  },
);

t.test("a segment that is shorter than it was made is corruption, wherever it ends", async (t) => {
  const { directory, extents } = await writeLog({ batches: 3, bytes: 21 });
  const image = (await contentOf(directory)).get(FIRST) ?? Buffer.alloc(0);
  const ends = [0, 1, 40, 100, ...extents.flatMap(({ from, to }) => [from, from + 1, to]), image.length - 1];
  for (const end of ends) {
    const cut = await holding(new Map([[FIRST, image.subarray(0, end)]]));
    await rejectsAsCorrupt(t, cut, /0000000001\.log.*its end is missing/);
  }
});

t.test("a segment that was made longer for a large batch is not to be cut to the usual length", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  await log.append({ entries: commands(1, 1, 1, 20_000) });
  await log.append({ entries: commands(2, 1, 1, 100) });
  const content = new Map(await contentOf(directory));
  const [name, image] = [...content].find(([, { length }]) => length > SMALL_SEGMENT_BYTES) ?? [
    "",
    Buffer.alloc(0),
  ];
  t.match(await outcomeOf(await holding(content)), { entries: [{ index: 1 }, { index: 2 }] });
  content.set(name, image.subarray(0, SMALL_SEGMENT_BYTES));
  await rejectsAsCorrupt(t, await holding(content), /its end is missing: 4096 bytes are left/);
});

t.test("a prepared segment that lost its content may have been a used one", async (t) => {
  const { directory } = await writeLog({ batches: 1 });
  const content = new Map(await contentOf(directory));
  content.set(SECOND, Buffer.alloc(0));
  await rejectsAsCorrupt(t, await holding(content), /0000000002\.log.*its end is missing/);
  content.set(SECOND, Buffer.alloc(SMALL_SEGMENT_BYTES));
  t.match(await outcomeOf(await holding(content)), { entries: entriesOf(1) });
});

t.test("real files: a log survives being copied, and a missing or foreign file is seen", async (t) => {
  const scratch = await mkdtemp(join(tmpdir(), "trivet-log-"));
  t.teardown(() => rm(scratch, { recursive: true }));
  const real = await NodeDirectory.open(join(scratch, "log"));
  const { log } = await openLog(real);
  for (let index = 1; index <= 60; index += 1) await log.append({ entries: [command(index, 1, 200)] });
  await log.close();
  t.match(await outcomeOf(real), { entries: commands(1, 60, 1, 200) });
  await copyFile(join(scratch, "log", SECOND), join(scratch, "second"));
  await rm(join(scratch, "log", SECOND));
  await rejectsAsCorrupt(t, real, /segment before it is missing/);
  await copyFile(join(scratch, "log", THIRD), join(scratch, "log", SECOND));
  await rejectsAsCorrupt(t, real, /expected batch \d+, found no record with a sound header; batch \d+ is in/);
  await copyFile(join(scratch, "second"), join(scratch, "log", SECOND));
  t.match(await outcomeOf(real), { entries: commands(1, 60, 1, 200) });
  t.ok((await readFile(join(scratch, "log", SECOND))).length === 4096);
});

t.test("one bit flipped anywhere: corruption, or the last batch is lost, or nothing is", async (t) => {
  for (const closed of [true, false]) {
    const { directory, extents } = await writeLog({ batches: 24, bytes: 20, closed });
    const whole = JSON.stringify(entriesOf(24, 20));
    const short = JSON.stringify(entriesOf(23, 20));
    const last = extents.at(-1);
    const seen = { corrupt: 0, short: 0, whole: 0 };
    for (const [name, image] of await contentOf(directory)) {
      const end = image.findLastIndex((byte) => byte !== 0);
      for (let at = 0; at < image.length; at += at < end ? 1 : 64) {
        // Each bit of each byte in use takes long; each byte in one bit, and all bits of the first and last batches.
        const isFull = (name === FIRST && at < 400) || (name === last?.name && at >= last.from - 200);
        for (let bit = isFull ? 0 : at % 8; bit < 8; bit += isFull && at < end ? 1 : 8) {
          const damaged = directory.copy();
          damaged.flipBit(name, at, bit);
          const found = await outcomeOf(damaged);
          if (typeof found === "string") {
            seen.corrupt += 1;
            continue;
          }
          const entries = JSON.stringify(found.entries);
          const isInLast = name === last?.name && at >= last.from && at < last.to;
          const isInUse = at < end;
          const isUnused = !isInUse || (closed && name === last?.name && at >= last.to);
          if (entries === whole && isUnused) seen.whole += 1;
          else if (entries === short && isInLast && !closed) seen.short += 1;
          else t.fail(`${name}, byte ${at}, bit ${bit}: not seen`, { entries: found.entries.length });
        }
      }
    }
    t.ok(seen.corrupt > 3000, `${seen.corrupt} times corruption`);
    t.ok(seen.whole > 10, `${seen.whole} times nothing lost`);
    if (closed) t.equal(seen.short, 0, "after a clean stop the last batch is never taken for torn");
    else t.ok(seen.short > 500, `${seen.short} times the last batch lost`);
  }
});

t.test(
  "a batch destroyed with later ones behind it is corruption, in its segment and in later ones",
  async (t) => {
    const { directory, extents } = await writeLog({ batches: 40, bytes: 100 });
    t.ok(new Set(extents.map(({ name }) => name)).size > 2, "in several segments");
    const FILE = "\\d{10}\\.log at offset \\d+, written only after";
    for (const [number, { name, from, to }] of extents.slice(0, -1).entries()) {
      const damaged = directory.copy();
      await overwrite(damaged, name, from, Buffer.alloc(to - from));
      await rejectsAsCorrupt(
        t,
        damaged,
        new RegExp(`\\.log at offset \\d+: expected batch ${number + 2}, found no .* is in ${FILE}`),
      );
    }
  },
);

t.test("a segment whose content is gone is corruption while a later one is in use", async (t) => {
  const { directory } = await writeLog({ batches: 40, bytes: 100 });
  for (const name of [FIRST, SECOND]) {
    const damaged = directory.copy();
    await overwrite(damaged, name, 0, Buffer.alloc(4096));
    await rejectsAsCorrupt(t, damaged, /expected batch \d+, found/);
  }
});

t.test(
  "the middle of the last batch gone, with the end of it there, is a torn tail that stays cut",
  async (t) => {
    const directory = new MemoryDirectory();
    const { log } = await openLog(directory, 64 * 1024);
    await log.append({ entries: commands(1, 2, 1, 500) });
    const before = await contentOf(directory);
    await log.append({ entries: commands(3, 20, 1, 500) });
    const { from, to } = changeBetween(before, await contentOf(directory));
    for (let lost = 1; lost * 512 < to - from; lost += 1) {
      const torn = directory.copy();
      const at = Math.floor(from / 512) * 512 + lost * 512;
      await overwrite(torn, FIRST, at, Buffer.alloc(Math.min(512, to - at)));
      const { log: next, recovered } = await openLog(torn, 64 * 1024);
      t.same(recovered.entries, commands(1, 2, 1, 500));
      t.ok(recovered.tornBytes > 9000 && recovered.tornBytes <= to - from, `${recovered.tornBytes} bytes`);
      await next.append({ entries: commands(3, 3, 2, 100) });
      await next.append({ entries: commands(6, 1, 2, 100) });
      const again = await openLog(torn.crash(seededRandom(lost)), 64 * 1024);
      t.same(again.recovered.entries, [...commands(1, 2, 1, 500), ...commands(3, 4, 2, 100)]);
    }
  },
);

t.test("a start that is cut short while it cuts a torn tail is taken up by the next one", async (t) => {
  for (let number = 1; ; number += 1) {
    const { directory, extents } = await writeLog({ batches: 3, bytes: 600 });
    const last = extents[2];
    if (last === undefined) throw new Error("no last batch");
    await overwrite(directory, last.name, last.from, Buffer.alloc(40));
    let halted = (): void => undefined;
    const cut = new Promise<string>((resolve) => {
      halted = () => resolve("halted");
    });
    directory.onCall = (call) => {
      // Counted from the first call of the start: the fixture's own came before.
      if (call.number < number + 4) return undefined;
      halted();
      return "halt";
    };
    const ending = await Promise.race([cut, openLog(directory)]);
    const { recovered } = await openLog(directory.crash(seededRandom(number)));
    t.same(recovered.entries, entriesOf(2, 600));
    if (ending !== "halted") break;
  }
});

t.test("a crash while the first segment is made leaves an empty log", async (t) => {
  const directory = new MemoryDirectory();
  await openLog(directory);
  const image = (await contentOf(directory)).get(FIRST) ?? Buffer.alloc(0);
  for (const name of [FIRST, "next.tmp"]) {
    for (const length of [0, 40, 88, 512]) {
      const young = new MemoryDirectory();
      const torn = Buffer.alloc(SMALL_SEGMENT_BYTES);
      image.copy(torn, 0, 0, Math.min(length, 80));
      await overwrite(young, name, 0, torn);
      const { log, recovered } = await openLog(young);
      t.same(recovered.entries, []);
      await log.append({ entries: [command(1, 1)] });
      t.same((await openLog(young)).recovered.entries, [command(1, 1)]);
      t.notOk((await young.list()).includes("next.tmp"));
    }
  }
});

t.test("segments in front of a gap that are not needed any more are removed", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  for (let index = 1; index <= 60; index += 1) await log.append({ entries: [command(index, 1, 200)] });
  const old = directory.copy();
  await log.compact({ index: 50, term: 1 });
  const mixed = directory.copy();
  const first = (await contentOf(old)).get(FIRST) ?? Buffer.alloc(0);
  await overwrite(mixed, FIRST, 0, first);
  t.same((await openLog(mixed)).recovered, (await openLog(directory.copy())).recovered);
  t.notOk((await mixed.list()).includes(FIRST));
});

t.test(
  "segments at the front missing: corruption; a prepared one missing before another: corruption",
  async (t) => {
    const { directory } = await writeLog({ batches: 40, bytes: 100 });
    const headless = directory.copy();
    await headless.remove(FIRST);
    await rejectsAsCorrupt(t, headless, /a segment before it is missing/);
    const names = await directory.list();
    const tailless = directory.copy();
    const last = names.at(-1) ?? "";
    const next = `${String(names.length + 2).padStart(10, "0")}.log`;
    await tailless.rename(last, next);
    await overwrite(tailless, next, 0, Buffer.alloc(4096));
    await rejectsAsCorrupt(t, tailless, /the segments before it are missing/);
  },
);

t.test("a log of another format is refused with log-version, not taken for damage", async (t) => {
  const { directory } = await writeLog({ batches: 1 });
  const { writeFrame } = await import("../../agent/log/record-frame.ts");
  const payload = Buffer.alloc(80);
  payload.writeUInt32LE(1, 0);
  payload.writeUInt32LE(1, 4);
  const frame = Buffer.alloc(128);
  writeFrame(
    frame,
    0,
    { type: 1, index: 0, term: 0, payload },
    { segment: 1, sequence: 1, position: 0, isLast: true },
  );
  await overwrite(directory, FIRST, 0, frame);
  await t.rejects(openLog(directory), {
    code: "log-version",
    message: /format 1, this program reads format 2/,
  });
});

t.test("a sound record that makes no sense is corruption", async (t) => {
  const { writeFrame } = await import("../../agent/log/record-frame.ts");
  const senseless = [
    { what: "an unknown type", type: 99, index: 3, term: 1, payload: Buffer.alloc(0) },
    { what: "a gap", type: 6, index: 4, term: 1, payload: Buffer.alloc(0) },
    { what: "a falling term", type: 6, index: 3, term: 0, payload: Buffer.alloc(0) },
    { what: "a head in the middle", type: 1, index: 3, term: 1, payload: Buffer.alloc(40, 1) },
    { what: "a configuration that is none", type: 7, index: 3, term: 1, payload: Buffer.from([0xff, 0xff]) },
  ];
  for (const { what, ...content } of senseless) {
    const { directory, extents } = await writeLog({ batches: 1 });
    const frame = Buffer.alloc(256);
    const end = writeFrame(frame, 0, content, { segment: 1, sequence: 3, position: 0, isLast: true });
    await overwrite(directory, FIRST, extents[0]?.to ?? 0, frame.subarray(0, end));
    await rejectsAsCorrupt(t, directory, /0000000001\.log at offset \d+/);
    t.comment(what);
  }
});

t.test("a medium that cannot be read is corruption; a file that may not be opened is not", async (t) => {
  const { directory } = await writeLog({ batches: 2 });
  directory.onCall = ({ operation }) => (operation === "read" ? "EIO" : undefined);
  await t.rejects(openLog(directory), {
    code: "log-corrupt",
    message: /cannot be read/,
    cause: { code: "EIO" },
  });
  directory.onCall = ({ operation }) => (operation === "open" ? "EACCES" : undefined);
  await t.rejects(openLog(directory), { code: "log-failed", cause: { code: "EACCES" } });
});

t.test("what is left in a segment that is used again never comes back", async (t) => {
  const directory = new MemoryDirectory();
  const { log } = await openLog(directory);
  let index = 0;
  for (let round = 0; round < 12; round += 1) {
    for (let count = 0; count < 12; count += 1) {
      index += 1;
      await log.append({ entries: [command(index, 1, 200)], hardState: hardState(1, "me", index) });
    }
    await log.compact({ index: index - 2, term: 1 });
    const { recovered } = await openLog(directory.copy());
    t.same(recovered.entries, commands(index - 1, 2, 1, 200));
    t.equal(recovered.tornBytes, 0);
  }
  t.ok(directory.count("rename") > 8, "segments were used again");
});
