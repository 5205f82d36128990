import fs from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { DatabaseFile } from "../../agent/store/database-file.ts";
import { type EngineInternals, findEngineInternals } from "../../agent/store/engine-internals.ts";
import { PAGE_BYTES } from "../../agent/store/limits.ts";
import { SqliteError } from "../../agent/store/sqlite-error.ts";
import { loadSqliteWasm, type SqliteWasm } from "../../agent/store/sqlite-wasm.ts";
import { SimRandom } from "../sim/sim-random.ts";
import { CutDisk } from "./cut-disk.ts";

t.setTimeout(300_000);

const SEEDS = Number(process.env["TRIVET_PAGE_SEEDS"] ?? 40);
const STEPS_PER_SEED = 40;
/** In a checkpoint there are some dozens. */
const CALLS_UNTIL_CUT_MAX = 60;
const SCHEMA = ["CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)"];

/** A database of random rows on a disk that may stop, and what it holds after each commit. */
class Subject {
  readonly path: string;
  readonly disk: CutDisk;
  readonly #engine: { readonly wasm: SqliteWasm; readonly internals: EngineInternals };
  readonly #random: SimRandom;
  #file: DatabaseFile;
  #isClosed = false;
  readonly #contents = new Map<number, string>();
  readonly #found: string[] = [];

  constructor(
    disk: CutDisk,
    engine: { readonly wasm: SqliteWasm; readonly internals: EngineInternals },
    random: SimRandom,
  ) {
    this.path = join(disk.directory, "app.db");
    this.disk = disk;
    this.#engine = engine;
    this.#random = random;
    this.#file = this.#open();
    this.#contents.set(0, this.content());
  }

  get pageCount(): number {
    return fs.statSync(this.path).size / PAGE_BYTES;
  }

  /** Some rows change, of some kilobytes at times. */
  change(): void {
    const random = this.#random;
    const index = this.#file.committed.index + 1;
    this.#file.begin();
    for (let count = 1 + random.below(8); count > 0; count -= 1) {
      const a = random.below(60);
      const bytes = random.bytes(Math.floor(random.magnitude(1, 9_000)));
      if (random.isTrue(0.25)) this.#file.run("DELETE FROM t WHERE a = ?", [a]);
      else this.#file.run("INSERT OR REPLACE INTO t VALUES (?, ?)", [a, bytes]);
    }
    // It may be cut in the middle, and be there.
    this.#contents.set(index, this.content());
    this.#file.commit({ index, term: 1 }, index);
  }

  checkpoint(): void {
    this.#file.checkpoint();
  }

  scrub(): void {
    for (let page: number | null = 1; page !== null; ) page = this.#file.pages.scrub(page).next;
  }

  /** What was found since the last call, also by those that have been cut off since. */
  findings(): readonly string[] {
    this.#collect();
    return this.#found.splice(0);
  }

  #collect(): void {
    for (const { isDamage, text } of this.#file.pages.takeFindings()) if (isDamage) this.#found.push(text);
  }

  content(): string {
    const rows: string[] = [];
    this.#file.read("SELECT a, hex(b) FROM t ORDER BY a", [], (row) => {
      rows.push(`${row.readColumn(0)} ${row.readColumn(1)}`);
      return true;
    });
    return rows.join("\n");
  }

  /** True if the file holds what it held after the commit at which it stands. */
  isAsCommitted(): boolean {
    return this.content() === this.#contents.get(this.#file.committed.index);
  }

  close(): void {
    this.#file.checkpoint();
    this.#collect();
    this.#isClosed = true;
    this.#file.close();
  }

  reopen(): void {
    this.#file = this.#open();
    this.#isClosed = false;
  }

  /** What a process leaves that is cut off. The files of this one must be let go of. */
  abandon(): void {
    this.#collect();
    this.disk.cutAfter(0);
    // What SQLite has freed must not be used again.
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#file.close();
    } catch {
      // Closing it writes.
    }
  }

  #open(): DatabaseFile {
    const { wasm, internals } = this.#engine;
    return new DatabaseFile(wasm, internals, {
      path: this.path,
      // So little that pages are read again.
      cacheKib: 40,
      schema: SCHEMA,
      mayBeDamaged: false,
    });
  }
}

/** Does something; false if the disk stopped meanwhile. */
function attempt(subject: Subject, act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (!subject.disk.isCut) throw error;
    return false;
  }
}

/** Opens the files that a cut has left, which may be cut again. */
function comeBack(subject: Subject, random: SimRandom, atRest: () => void): void {
  for (;;) {
    if (random.isTrue(0.5)) subject.disk.kill();
    else subject.disk.loseThePower();
    atRest();
    if (random.isTrue(0.3)) subject.disk.cutAfter(random.below(CALLS_UNTIL_CUT_MAX));
    if (attempt(subject, () => subject.reopen())) return;
  }
}

/** One of the things that happen to a database. `atRest` is called while nobody has it open. */
function step(subject: Subject, random: SimRandom, atRest: () => void): void {
  const act = random.pick([
    () => subject.change(),
    () => subject.change(),
    () => subject.change(),
    () => subject.checkpoint(),
    () => subject.scrub(),
    () => {
      subject.close();
      subject.reopen();
    },
  ]);
  if (random.isTrue(0.3)) subject.disk.cutAfter(random.below(CALLS_UNTIL_CUT_MAX));
  if (attempt(subject, act)) return;
  subject.abandon();
  comeBack(subject, random, atRest);
}

t.test("PageGuard", async (t) => {
  const wasm = await loadSqliteWasm();
  const engine = { wasm, internals: findEngineInternals(wasm) };
  const begin = async (seed: number): Promise<{ readonly subject: Subject; readonly random: SimRandom }> => {
    const random = new SimRandom(seed);
    const directory = await mkdtemp(join(tmpdir(), "trivet-pages-"));
    t.teardown(() => rm(directory, { recursive: true }));
    const subject = new Subject(new CutDisk(directory, random.fork()), engine, random.fork());
    for (let nth = 0; nth < 5; nth += 1) subject.change();
    subject.checkpoint();
    return { subject, random };
  };

  t.test("finds nothing wrong, wherever a process or the power is cut off", async (t) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { subject, random } = await begin(seed);
      for (let nth = 0; nth < STEPS_PER_SEED; nth += 1) {
        step(subject, random, () => undefined);
        if (!subject.isAsCommitted())
          t.fail(`seed ${seed}, step ${nth}: the rows are not those of its position`);
        const found = subject.findings();
        if (found.length > 0) t.fail(`seed ${seed}, step ${nth}: ${found.join("; ")}`);
      }
      subject.disk.cutAfter(Number.POSITIVE_INFINITY);
      subject.close();
    }
    t.pass(`${SEEDS * STEPS_PER_SEED} steps`);
  });

  t.test("finds a flipped bit in any page, whatever is done after it", async (t) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { subject, random } = await begin(seed);
      for (let nth = random.below(STEPS_PER_SEED); nth > 0; nth -= 1) step(subject, random, () => undefined);
      subject.disk.cutAfter(Number.POSITIVE_INFINITY);
      subject.scrub();
      t.strictSame(subject.findings(), [], `seed ${seed}: nothing is wrong yet`);
      const page = random.below(subject.pageCount);
      subject.disk.flip(subject.path, page * PAGE_BYTES + random.below(PAGE_BYTES), random.below(8));
      const [found, foundAtLast] = lookAfter(subject, random);
      if (found.length === 0) t.fail(`seed ${seed}: page ${page + 1} has a flipped bit, and nobody noticed`);
      // It may have been overwritten by what SQLite had read before.
      const isMended = foundAtLast.length === 0 && subject.isAsCommitted();
      if (foundAtLast.length === 0 && !isMended)
        t.fail(`seed ${seed}: page ${page + 1} is wrong, and believed`);
    }
  });
});

/** What is found while more happens to the database, and at last, when all of it is looked at. */
function lookAfter(subject: Subject, random: SimRandom): readonly [readonly string[], readonly string[]] {
  const found: string[] = [];
  try {
    for (let nth = random.below(8); nth > 0; nth -= 1) step(subject, random, () => undefined);
    subject.disk.cutAfter(Number.POSITIVE_INFINITY);
    subject.checkpoint();
    subject.scrub();
    found.push(...subject.findings());
    // Another process tells of it again.
    subject.close();
    subject.reopen();
    subject.scrub();
    const last = subject.findings();
    return [[...found, ...last], last];
  } catch (error) {
    // SQLite notices what makes no sense.
    if (!(error instanceof SqliteError && error.isDamage)) throw error;
    return [[error.message], [error.message]];
  }
}
