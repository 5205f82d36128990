import { mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import t, { type Test } from "tap";
import { PageSums } from "../../agent/store/page-sums.ts";
import { encodeSums, type SumsRecord } from "../../agent/store/page-sums-codec.ts";
import { SumTable } from "../../agent/store/sum-table.ts";
import { SimRandom } from "../sim/sim-random.ts";

t.setTimeout(60_000);

const MIB = 1024 * 1024;
/** Of a database of 32 GiB. */
const MANY_PAGES = 8 * MIB;
const SEEDS = 10;
const RECORDS_PER_SEED = 20;

async function pathOf(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "trivet-sums-"));
  t.teardown(() => rm(directory, { recursive: true }));
  return join(directory, "app.db-sums");
}

/** Of every page another one. */
function manySums(): Uint32Array {
  return new Uint32Array(MANY_PAGES).map((_, at) => at + 1);
}

t.test("the sums of a database of 32 GiB take 4 bytes a page, on the disk and in memory", async (t) => {
  const path = await pathOf(t);
  const sums = manySums();
  await writeFile(path, encodeSums(sums));
  const atMost = 4 * MANY_PAGES + MIB;
  t.ok((await stat(path)).size < atMost);
  const before = process.memoryUsage();
  const opened = PageSums.open(path);
  const after = process.memoryUsage();
  t.ok(after.arrayBuffers - before.arrayBuffers < atMost, "the table is read into its place");
  t.ok(after.heapUsed - before.heapUsed < 8 * MIB, "no object for every page");
  t.equal(opened.origin, "read");
  t.equal(Buffer.compare(Buffer.from(opened.toTable().buffer), Buffer.from(sums.buffer)), 0);
});

t.test("encodeSums() gives a large table in pieces, without a copy of it", async (t) => {
  const sums = manySums();
  const before = process.memoryUsage();
  const lengths = [...encodeSums(sums)].map(({ byteLength }) => byteLength);
  const after = process.memoryUsage();
  t.ok(Math.max(...lengths) <= MIB / 4, "each is written in some milliseconds");
  t.ok(after.arrayBuffers - before.arrayBuffers < MIB);
});

t.test("a table that grows page by page is copied seldom", async (t) => {
  const table = new SumTable(new Uint32Array(1_000));
  const buffers = new Set<ArrayBufferLike>();
  for (let pageCount = 1_001; pageCount <= 3_000; pageCount += 1) {
    table.resize(pageCount);
    buffers.add(table.sums.buffer);
  }
  t.ok(buffers.size <= 3, `${buffers.size} times`);
});

/** What `PageSums` is to hold. */
class Model {
  #sums: number[] = [];

  get sums(): readonly number[] {
    return this.#sums;
  }

  take({ pageCount, sums }: SumsRecord): void {
    const old = this.#sums;
    this.#sums = Array.from({ length: pageCount }, (_, at) => sums.get(at + 1) ?? old[at] ?? 0);
  }
}

/** Of a database that grows, and shrinks; some of its sums are of pages that are gone at its end. */
function drawRecord(random: SimRandom): SumsRecord {
  const pageCount = Math.floor(random.magnitude(1, 3_000)) - 1;
  const count = random.below(500);
  const sums = new Map(
    Array.from({ length: count }, () => [1 + random.below(3_200), 1 + random.below(2 ** 32 - 1)]),
  );
  const mark = { restart: random.below(9), salts: 7n, frames: 1 + random.below(99), checksum: 5n };
  return { mark, pageCount, sums };
}

t.test("PageSums keeps what is recorded, however often its file is put together", async (t) => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const path = await pathOf(t);
    const random = new SimRandom(seed);
    const model = new Model();
    let sums = PageSums.open(path);
    const wrong: string[] = [];
    for (let step = 0; step < RECORDS_PER_SEED; step += 1) {
      const record = drawRecord(random);
      sums.record(record);
      model.take(record);
      sums.maybeCompact();
      if (random.isTrue(0.3)) sums = PageSums.open(path);
      const isSame = isDeepStrictEqual([...sums.toTable()], model.sums);
      if (!isSame || !isDeepStrictEqual(sums.mark, record.mark)) wrong.push(`after record ${step}`);
    }
    t.strictSame(wrong, [], `seed ${seed}`);
  }
});

t.test("PageSums reads back that nothing is known", async (t) => {
  const path = await pathOf(t);
  PageSums.open(path).forget();
  const sums = PageSums.open(path);
  t.strictSame([sums.origin, sums.pageCount], ["read", 0]);
});

t.test("what a crash has cut of the last record is as if it had not been there", async (t) => {
  const path = await pathOf(t);
  const sums = PageSums.open(path);
  const mark = { restart: 1, salts: 2n, frames: 3, checksum: 4n };
  sums.record({ mark: null, pageCount: 2, sums: new Map([[1, 11]]) });
  const { size } = await stat(path);
  sums.record({ mark, pageCount: 3, sums: new Map([[3, 33]]) });
  const whole = await readFile(path);
  const found = new Set<string>();
  for (let length = whole.length - 1; length >= size; length -= 1) {
    await truncate(path, length);
    const cut = PageSums.open(path);
    found.add(`${cut.mark} ${cut.toTable()}`);
  }
  t.strictSame([...found], ["null 11,0"]);
  await truncate(path, size - 1);
  t.equal(PageSums.open(path).origin, "damaged", "the table was written whole or not at all");
});

t.test("any changed byte of the table is damage, and asks for no memory that there is not", async (t) => {
  const path = await pathOf(t);
  PageSums.open(path).record({ mark: null, pageCount: 2, sums: new Map([[1, 11]]) });
  const whole = await readFile(path);
  const origins = new Set<string>();
  for (let at = 0; at < whole.length; at += 1) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 0x80;
    await writeFile(path, changed);
    origins.add(PageSums.open(path).origin);
  }
  t.strictSame([...origins], ["damaged"]);
});
