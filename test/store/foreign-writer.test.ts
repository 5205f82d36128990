import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { DatabaseFile } from "../../agent/store/database-file.ts";
import { findEngineInternals } from "../../agent/store/engine-internals.ts";
import { PAGE_BYTES } from "../../agent/store/limits.ts";
import { SqliteConnection } from "../../agent/store/sqlite-connection.ts";
import { loadSqliteWasm } from "../../agent/store/sqlite-wasm.ts";

t.setTimeout(120_000);

const ROWS = 60;
const MADE_ANEW = /app\.db: .* has opened it: the sums of its pages are made anew/;
const WRONG_PAGE = /app\.db: page \d+ of \d+ is not what was written/;
const SCHEMA = ["CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)"];
const wasm = await loadSqliteWasm();
const internals = findEngineInternals(wasm);

/** A directory of its own with a database that has been checkpointed, which an agent has open. */
class Box {
  readonly directory: string;
  readonly path: string;
  file: DatabaseFile;

  private constructor(directory: string) {
    this.directory = directory;
    this.path = join(directory, "app.db");
    this.file = open(this.path);
  }

  static create(t: Test): Box {
    const box = new Box(makeDirectory(t));
    t.teardown(() => box.file.close());
    box.put("first");
    box.file.checkpoint();
    scrub(box.file);
    return box;
  }

  /** One more commit, over all pages; it stays in the write-ahead log. */
  put(text: string): void {
    const index = this.file.committed.index + 1;
    this.file.begin();
    for (let a = 0; a < ROWS; a += 1)
      this.file.run("INSERT OR REPLACE INTO t VALUES (?, ?)", [a, Buffer.alloc(600, `${text} ${a} `)]);
    this.file.commit({ index, term: 1 }, index);
  }

  restart(): void {
    this.stop();
    this.file = open(this.path);
  }

  stop(): void {
    this.file.checkpoint();
    this.file.close();
  }

  /** Where its files are as a process leaves them that is killed now. */
  leftByKill(t: Test): string {
    return copyFiles(t, this.directory);
  }
}

function open(path: string): DatabaseFile {
  return new DatabaseFile(wasm, internals, { path, cacheKib: 512, schema: SCHEMA, mayBeDamaged: true });
}

function makeDirectory(t: Test): string {
  const directory = fs.mkdtempSync(join(tmpdir(), "trivet-foreign-"));
  t.teardown(() => fs.rmSync(directory, { recursive: true }));
  return directory;
}

function copyFiles(t: Test, directory: string): string {
  const copy = makeDirectory(t);
  for (const name of fs.readdirSync(directory))
    if (name !== "app.db.lock") fs.copyFileSync(join(directory, name), join(copy, name));
  return join(copy, "app.db");
}

function scrub(file: DatabaseFile): void {
  for (let page: number | null = 1; page !== null; ) page = file.pages.scrub(page).next;
}

/** Everything that looks at pages. */
function findings(file: DatabaseFile): readonly string[] {
  scrub(file);
  file.checkpoint();
  scrub(file);
  return file.pages.takeFindings().map(({ isDamage, text }) => `${isDamage ? "damage: " : ""}${text}`);
}

const LOOK =
  "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM t').fetchone()";

/** What a technician does. */
function look(path: string): void {
  execFileSync("python3", ["-c", `${LOOK}; c.close()`, path]);
}

function lookAndBeKilled(path: string): void {
  const { signal } = spawnSync("python3", ["-c", `${LOOK}; import os; os.kill(os.getpid(), 9)`, path]);
  if (signal !== "SIGKILL") throw new Error("python3 did not get as far as to be killed");
}

/** What an agent does that knows of no sums. */
function runOlderVersion(path: string, between: (directory: string) => void = () => undefined): void {
  const connection = new SqliteConnection(wasm, path);
  for (const sql of [
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA wal_autocheckpoint = 0",
    "INSERT INTO _trivet_meta VALUES ('opened', 1) ON CONFLICT DO UPDATE SET value = value + 1",
    "UPDATE t SET b = b || 'older'",
    "UPDATE _trivet_meta SET value = value + 1 WHERE key = 'applied_index'",
  ])
    connection.run(sql);
  between(join(path, ".."));
  connection.close();
}

/** It is sound, somebody else wrote it, and what changes by itself from now on is found. */
function isTakenAsForeign(t: Test, path: string): void {
  const file = open(path);
  t.match(findings(file), [MADE_ANEW], "one line says so");
  t.equal(file.connection.readValue("SELECT count(*) FROM t"), ROWS);
  file.close();
  const again = open(path);
  t.strictSame(findings(again), [], "and nothing after another start");
  again.close();
  flipInRow(path);
  const flipped = open(path);
  t.match(findings(flipped), [WRONG_PAGE]);
  flipped.close();
}

/** The B-tree stays sound. */
function flipInRow(path: string): void {
  const bytes = fs.readFileSync(path);
  const at = bytes.lastIndexOf(" 42 ");
  bytes.writeUInt8(bytes.readUInt8(at + 1) ^ 0x01, at + 1);
  fs.writeFileSync(path, bytes);
}

t.test("another program looks into a database whose agent was cut off", async (t) => {
  const box = Box.create(t);
  box.put("second");
  const path = box.leftByKill(t);
  look(path);
  t.notOk(fs.existsSync(`${path}-wal`), "it has moved the write-ahead log");
  isTakenAsForeign(t, path);
});

t.test("another program looks when the agent was cut off before its first checkpoint", async (t) => {
  const box = Box.create(t);
  box.restart();
  const path = box.leftByKill(t);
  look(path);
  isTakenAsForeign(t, path);
});

t.test("another program is cut off itself", async (t) => {
  const box = Box.create(t);
  box.put("second");
  const path = box.leftByKill(t);
  lookAndBeKilled(path);
  // So far it had got with moving the log: half of a page.
  const wal = fs.readFileSync(`${path}-wal`);
  const page = wal.readUInt32BE(32);
  const file = fs.openSync(path, "r+");
  fs.writeSync(file, wal, 32 + 24, PAGE_BYTES / 2, (page - 1) * PAGE_BYTES);
  fs.closeSync(file);
  isTakenAsForeign(t, path);
});

t.test("another program looks into a database whose agent was stopped: nobody need know", async (t) => {
  const box = Box.create(t);
  box.stop();
  look(box.path);
  box.file = open(box.path);
  t.strictSame(findings(box.file), []);
});

t.test("another program looks into a database that an agent has open", async (t) => {
  const box = Box.create(t);
  box.put("second");
  look(box.path);
  box.put("third");
  t.match(findings(box.file), [MADE_ANEW]);
  box.put("fourth");
  t.strictSame(findings(box.file), [], "it is said once");
  box.stop();
  box.file = open(box.path);
  t.notMatch(findings(box.file), [/damage/]);
});

t.test("an older version had the database", async (t) => {
  const box = Box.create(t);
  box.put("second");
  const killed = box.leftByKill(t);
  box.stop();
  const stopped = copyFiles(t, box.directory);
  box.file = open(box.path);
  for (const [what, from] of [
    ["stopped", stopped],
    ["killed", killed],
  ] as const) {
    const path = copyFiles(t, join(from, ".."));
    runOlderVersion(path);
    t.test(`from an agent that was ${what}`, async (t) => isTakenAsForeign(t, path));
    const atKill: string[] = [];
    runOlderVersion(copyFiles(t, join(from, "..")), (directory) => atKill.push(copyFiles(t, directory)));
    for (const path of atKill)
      t.test(`from an agent that was ${what}, and was killed`, async (t) => isTakenAsForeign(t, path));
    const moved: string[] = [];
    const movedPath = copyFiles(t, join(from, ".."));
    runOlderVersion(movedPath, (directory) => {
      const path = copyFiles(t, directory);
      // As far as it got: the log is there, and in the file.
      const wal = fs.readFileSync(`${path}-wal`);
      look(path);
      fs.writeFileSync(`${path}-wal`, wal);
      moved.push(path);
    });
    for (const path of moved)
      t.test(`from an agent that was ${what}, and was killed in a checkpoint`, async (t) =>
        isTakenAsForeign(t, path),
      );
  }
});

t.test("a database was taken away without its sums: the next one begins with none", async (t) => {
  const box = Box.create(t);
  box.stop();
  fs.rmSync(box.path);
  box.file = open(box.path);
  box.put("another");
  t.strictSame(findings(box.file), []);
});

t.test("what somebody else has written is checked before it is served", async (t) => {
  const box = Box.create(t);
  box.put("second");
  const path = box.leftByKill(t);
  look(path);
  const bytes = fs.readFileSync(path);
  bytes.fill(0xff, bytes.length - PAGE_BYTES);
  fs.writeFileSync(path, bytes);
  t.match(
    t.throws(() => open(path)),
    { isDamage: true },
  );
});
