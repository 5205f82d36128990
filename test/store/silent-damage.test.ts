import { mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import t, { type Test } from "tap";
import { type Clock, systemClock } from "../../agent/platform/clock.ts";
import type { TrivetError } from "../../agent/platform/trivet-error.ts";
import { SCRUB_DELAY_MS, SNAPSHOT_REFUSAL_MS } from "../../agent/store/limits.ts";
import { PageSums } from "../../agent/store/page-sums.ts";
import { openSqliteStore } from "../../agent/store/sqlite-store.ts";
import type { Store } from "../../agent/store/store.ts";
import { until } from "../cluster/until.ts";
import { transfer } from "./copy-snapshot.ts";
import { entry, StoreNode } from "./store-node.ts";

t.setTimeout(300_000);

const PATIENT_MS = 20_000;
const WRONG_PAGE = /app\.db: page \d+ .*is not what was written/;
const ROWS = 100;
const ENTRIES = [
  entry(1, ["CREATE TABLE t (a INTEGER PRIMARY KEY, b)"]),
  entry(
    2,
    Array.from({ length: ROWS }, (_, a) => `INSERT INTO t VALUES (${a}, 'row ${a} ' || hex(zeroblob(200)))`),
  ),
];

/** Does not wait before it looks. */
const eager: Clock = {
  ...systemClock,
  setTimer: (delayMs, callback) => systemClock.setTimer(delayMs === SCRUB_DELAY_MS ? 0 : delayMs, callback),
};

interface Opened {
  readonly store: Store;
  readonly lines: readonly string[];
  readonly failures: readonly TrivetError[];
}

/** A directory with the databases of a node that was stopped. */
async function makeFiles(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "trivet-silent-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const node = await StoreNode.open(directory);
  await node.store.apply(ENTRIES);
  await node.store.close();
  return directory;
}

async function openFiles(
  t: Test,
  directory: string,
  options: { readonly clock?: Clock } = {},
): Promise<Opened> {
  const lines: string[] = [];
  const failures: TrivetError[] = [];
  const store = await openSqliteStore({
    directory,
    clock: systemClock,
    logger: { log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`) },
    onFailed: (error) => failures.push(error),
    ...options,
  });
  t.teardown(() => store.close());
  return { store, lines, failures };
}

/** In a row: the B-tree stays sound. Resolves with where. */
async function flipInRow(directory: string): Promise<number> {
  const path = join(directory, "app.db");
  const offset = (await readFile(path)).indexOf("row 42 0000") + 9;
  await flipAt(path, offset);
  return offset;
}

async function flipAt(path: string, offset: number): Promise<void> {
  const file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  byte.writeUInt8(byte.readUInt8(0) ^ 0x01, 0);
  await file.write(byte, 0, 1, offset);
  await file.close();
}

const damageOf = (store: Store) => async () => store.toleratedDamage;
const oneOf = (items: readonly unknown[]) => async () => (items.length > 0 ? true : null);

t.test("a flipped bit is found in the background after a start", async (t) => {
  const directory = await makeFiles(t);
  await flipInRow(directory);
  const { store } = await openFiles(t, directory, { clock: eager });
  t.match(await until("it is found", PATIENT_MS, damageOf(store)), WRONG_PAGE);
});

t.test("a snapshot with a flipped bit is given to nobody", async (t) => {
  const directory = await makeFiles(t);
  const { store } = await openFiles(t, directory);
  await (await store.openSnapshot()).close();
  await flipInRow(directory);
  await t.rejects(store.openSnapshot(), { code: "snapshot-failed", message: WRONG_PAGE });
  t.match(store.toleratedDamage, WRONG_PAGE);
});

t.test("a snapshot that has met damage is refused without another look, for an hour", async (t) => {
  const directory = await makeFiles(t);
  const flippedAt = await flipInRow(directory);
  let laterMs = 0;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + laterMs };
  const { store } = await openFiles(t, directory, { clock });
  const refused = { code: "snapshot-failed", message: WRONG_PAGE };
  await t.rejects(store.openSnapshot(), refused);
  await flipAt(join(directory, "app.db"), flippedAt);
  await t.rejects(store.openSnapshot(), refused, "although there is nothing to be met");
  laterMs = SNAPSHOT_REFUSAL_MS;
  await (await store.openSnapshot()).close();
});

t.test("a page is looked at before something else is written over it", async (t) => {
  const directory = await makeFiles(t);
  await flipInRow(directory);
  const { store } = await openFiles(t, directory);
  await store.apply([entry(3, ["UPDATE t SET b = b || '!' WHERE a BETWEEN 40 AND 45"])]);
  await store.checkpoint();
  t.match(await until("it is found", PATIENT_MS, damageOf(store)), WRONG_PAGE);
  await store.close();
  const again = await openFiles(t, directory, { clock: eager });
  const found = await until("it is found again", PATIENT_MS, damageOf(again.store));
  t.match(found, WRONG_PAGE, "although all that was read of it has been written anew");
});

t.test("a bit that flips in the write-ahead log is found before it gets into the database", async (t) => {
  const directory = await makeFiles(t);
  const { store } = await openFiles(t, directory);
  await store.apply([entry(3, ["UPDATE t SET b = b || '!' WHERE a BETWEEN 40 AND 45"])]);
  // Commits, and lets the checkpoint wait.
  const snapshot = await store.openSnapshot();
  await store.apply([entry(4, ["UPDATE t SET b = b || '?' WHERE a BETWEEN 40 AND 45"])]);
  await store.checkpoint();
  const wal = join(directory, "app.db-wal");
  await flipAt(wal, (await readFile(wal)).indexOf("row 42 0000") + 9);
  await snapshot.close();
  await store.checkpoint();
  const found = await until("it is found", PATIENT_MS, damageOf(store));
  t.match(found, /write-ahead log of \d+ frames is not what was written/);
});

t.test("a copy of another node comes with the sums of its pages", async (t) => {
  const [source, target] = [await makeFiles(t), await mkdtemp(join(tmpdir(), "trivet-silent-"))];
  t.teardown(() => rm(target, { recursive: true }));
  const from = await openFiles(t, source);
  const to = await openFiles(t, target);
  await transfer(from.store, to.store);
  const sums = PageSums.open(join(target, "app.db-sums"));
  const pages = (await stat(join(target, "app.db"))).size / 4096;
  t.equal(sums.toTable().filter((sum) => sum !== 0).length, pages);
  await to.store.close();
  await flipInRow(target);
  const again = await openFiles(t, target, { clock: eager });
  t.notOk(again.lines.some((line) => line.includes("made anew")));
  t.match(await until("it is found", PATIENT_MS, damageOf(again.store)), WRONG_PAGE);
});

t.test("databases with a flipped bit go on: what to do about it is for others to say", async (t) => {
  const directory = await makeFiles(t);
  await flipInRow(directory);
  const { store, lines, failures } = await openFiles(t, directory, { clock: eager });
  await until("it is found", PATIENT_MS, damageOf(store));
  t.ok(lines.some((line) => line.startsWith("error") && WRONG_PAGE.test(line)));
  await store.apply([entry(3, ["UPDATE t SET b = b || '!'"])]);
  t.match(await store.checkpoint(), { index: 3 });
  await t.rejects(store.openSnapshot(), { code: "snapshot-failed", message: WRONG_PAGE });
  t.match(store.toleratedDamage, WRONG_PAGE, "it is found again, whatever is written over it");
  t.strictSame(failures, []);
});

t.test("databases that were damaged are forgotten once there are others", async (t) => {
  const [source, target] = [await makeFiles(t), await makeFiles(t)];
  await flipInRow(target);
  const from = await openFiles(t, source);
  await from.store.apply([entry(3, ["UPDATE t SET b = b || '!'"])]);
  const to = await openFiles(t, target, { clock: eager });
  t.match(await until("it is found", PATIENT_MS, damageOf(to.store)), WRONG_PAGE);
  await transfer(from.store, to.store);
  t.equal(to.store.toleratedDamage, null);
  await (await to.store.openSnapshot()).close();
  t.strictSame(to.failures, []);
});

for (const [what, spoil] of [
  ["missing", (path: string) => rm(path)],
  ["foreign", async (path: string) => writeFile(path, await asFormat(path, 1))],
] as const)
  t.test(`the sums of the pages are ${what}: they are made anew, and the log says so`, async (t) => {
    const directory = await makeFiles(t);
    await spoil(join(directory, "app.db-sums"));
    const { store, lines, failures } = await openFiles(t, directory, { clock: eager });
    const pages = (await stat(join(directory, "app.db"))).size / 4096;
    await until("all pages have one", PATIENT_MS, async () => {
      const sums = PageSums.open(join(directory, "app.db-sums")).toTable();
      return sums.length === pages && sums.every((sum) => sum !== 0) ? true : null;
    });
    await until("it is said", PATIENT_MS, oneOf(lines));
    t.match(lines, [new RegExp(`info .*app.db: the sums of its pages are ${what}: they are made anew`)]);
    t.strictSame(failures, []);
    await store.close();
    await flipInRow(directory);
    const again = await openFiles(t, directory, { clock: eager });
    const found = await until("a flipped bit is found from then on", PATIENT_MS, damageOf(again.store));
    t.match(found, WRONG_PAGE);
  });

t.test("the sums of the pages are damaged: so is the copy", async (t) => {
  const directory = await makeFiles(t);
  await flipAt(join(directory, "app.db-sums"), 30);
  const { store } = await openFiles(t, directory, { clock: eager });
  t.match(await until("it is found", PATIENT_MS, damageOf(store)), /the sums of its pages cannot be read/);
});

/** The file as another version might have written it. */
async function asFormat(path: string, format: number): Promise<Buffer> {
  const bytes = await readFile(path);
  bytes.writeUInt32LE(format, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
  return bytes;
}
