import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import sqlite from "node-sqlite3-wasm";
import { t } from "tap";
import { PageSums } from "../../agent/store/page-sums.ts";
import { sumOf } from "../../agent/store/page-sums-codec.ts";
import { loseLastBatches } from "../log/lose-batches.ts";
import type { AgentProcess } from "./agent-process.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";

/** Rows enough that the databases have pages to damage, and the log has a middle. */
const WRITES = 30;
const ROWS_PER_WRITE = 10;
const TEXT = "x".repeat(500);
/** So little that no log reaches back to its first entry: alone, it does not make the databases anew. */
const RETAIN_BYTES = 64 * 1024;

t.test("damaged data comes back without a person", { timeout: 280_000 }, async (t) => {
  const cluster = await TestCluster.start(3, ["--log-retain", String(RETAIN_BYTES)]);
  t.teardown(() => cluster.end());
  const [first] = cluster.agents;
  await first?.execute(["CREATE TABLE kept (id INTEGER NOT NULL, body TEXT NOT NULL)"]);
  let lastId = 0;
  /** `count` entries of some rows each. */
  const write = async (agent: AgentProcess, count: number): Promise<void> => {
    for (let nth = 0; nth < count; nth++) {
      const rows = Array.from({ length: ROWS_PER_WRITE }, () => [
        "INSERT INTO kept VALUES (?, ?)",
        ++lastId,
        TEXT,
      ]);
      t.match(await agent.execute(rows), { status: 200 });
    }
  };
  if (first !== undefined) await write(first, WRITES);
  await cluster.untilEqual();

  /** All nodes have the same rows, three voters that are reachable, and nothing is wrong with any. */
  const untilWhole = async (): Promise<void> => {
    for (const agent of cluster.agents) {
      await agent.untilStatus(
        "three voters, no trouble",
        ({ cluster, node, members }) =>
          cluster.votersReachable === 3 && members.length === 3 && node.troubles.length === 0,
      );
    }
    await cluster.untilEqual();
    for (const agent of cluster.agents) {
      t.strictSame(await agent.rows("SELECT count(*), max(id) FROM kept"), [[lastId, lastId]], agent.name);
    }
  };

  for (const who of ["a follower", "the leader"] as const) {
    await t.test(`a bit flips in the middle of the log of ${who}`, async (t) => {
      const leader = await cluster.untilLed();
      const victim = who === "the leader" ? leader : other(cluster, [leader]);
      const witness = other(cluster, [victim]);
      const { memberId, id } = (await victim.status()).node;
      await victim.kill();
      await flipInLog(victim.directory);
      const damaged = await readLog(victim.directory);
      victim.start();
      const anew = await victim.untilStatus(
        "is a voter again, as another member",
        ({ node, members }) =>
          node.memberId !== memberId &&
          members.some((member) => member.memberId === node.memberId && member.role === "voter"),
      );
      t.equal(anew.node.id, id, "on the same node");
      await write(victim, 3);
      await untilWhole();
      const { members } = await witness.status();
      t.notOk(
        members.some((member) => member.memberId === memberId),
        "the old member is none any more",
      );
      const [slot = ""] = await quarantineOf(victim);
      t.strictSame(
        await readLog(join(victim.directory, "quarantine", slot)),
        damaged,
        "what was damaged is kept",
      );
    });
  }

  await t.test("a log has lost its last writes, as only the databases can tell", async (t) => {
    const leader = await cluster.untilLed();
    const victim = other(cluster, [leader]);
    const { memberId } = (await victim.status()).node;
    await write(leader, 3);
    await cluster.untilEqual();
    t.equal(await victim.stop(), 0);
    // That it was closed, and these; a base may be among them.
    await loseLastBatches(join(victim.directory, "raft"), 4);
    const damaged = await readLog(victim.directory);
    victim.start();
    await victim.untilStatus("is a voter again, as another member", ({ node, members }) =>
      members.some((member) => member.memberId === node.memberId && member.memberId !== memberId),
    );
    await untilWhole();
    t.ok(victim.lines.some((line) => /applied entry \d+ of term \d+, and the log, which ends at/.test(line)));
    const [slot = ""] = await quarantineOf(victim);
    t.strictSame(await readLog(join(victim.directory, "quarantine", slot)), damaged, "what is left is kept");
  });

  await t.test("the database of a node is damaged, its log is not", async (t) => {
    const victim = other(cluster, [await cluster.untilLed()]);
    const { memberId } = (await victim.status()).node;
    const before = await quarantineOf(victim);
    t.ok((await victim.status()).raft.firstIndex > 1, "its log does not make them anew");
    t.equal(await victim.stop(), 0);
    await spoil(join(victim.directory, "app.db"));
    await write(other(cluster, [victim]), 3);
    victim.start();
    await untilWhole();
    t.equal((await victim.status()).node.memberId, memberId, "it is the same member");
    t.ok(victim.lines.some((line) => /A quorum of others holds the data: .* a fresh copy/.test(line)));
    t.not((await quarantineOf(victim))[0], before[0], "what was damaged is kept");
  });

  await t.test("a query meets a damaged page that no start had looked for", async (t) => {
    const victim = other(cluster, [await cluster.untilLed()]);
    const { memberId } = (await victim.status()).node;
    const before = await quarantineOf(victim);
    // A clean end leaves nothing that a start would be wary of.
    t.equal(await victim.stop(), 0);
    await spoilTable(join(victim.directory, "app.db"), "kept");
    // Else these may tell first; and without them, a start looks at all of it.
    await acceptPages(join(victim.directory, "app.db"));
    victim.start();
    const { pid } = victim;
    await victim.untilStatus(
      "serves as if nothing were wrong",
      ({ raft, node }) => raft.leader !== null && raft.role === "follower" && node.troubles.length === 0,
    );
    t.match(await victim.query("SELECT count(*) FROM kept"), { status: 503, code: "store-damaged" });
    await untilWhole();
    await write(victim, 3);
    await untilWhole();
    t.equal((await victim.status()).node.memberId, memberId, "it is the same member");
    t.equal(victim.pid, pid, "in the same process");
    t.ok(victim.isRunning);
    const [slot = ""] = await quarantineOf(victim);
    t.not(slot, before[0], "what was damaged is kept");
    const kept = await readdir(join(victim.directory, "quarantine", slot));
    t.strictSame(
      ["app.db", "state.db", "databases-damaged.txt"].filter((name) => !kept.includes(name)),
      [],
      "with the reason",
    );
  });

  await t.test("a row is gone from one copy: the results tell, and it gets another copy", async (t) => {
    const victim = other(cluster, [await cluster.untilLed()]);
    const witness = other(cluster, [victim]);
    t.equal(await victim.stop(), 0);
    deleteRow(join(victim.directory, "app.db"), 1);
    // Else these tell, and first.
    await rm(join(victim.directory, "app.db-sums"));
    victim.start();
    await victim.untilStatus("follows", ({ raft }) => raft.role === "follower" && raft.leader !== null);
    // One row on every other node, none here.
    const update = [["UPDATE kept SET body = ? WHERE id = ?", "after", 1]];
    t.match(await witness.execute(update), { status: 200, results: [{ rows_affected: 1 }] });
    const found = await until("the row is back", 30_000, async () => {
      const answer = await victim.query("SELECT body FROM kept WHERE id = 1");
      return (answer.results?.[0]?.values?.length ?? 0) > 0 ? answer : null;
    });
    t.match(found, { results: [{ values: [["after"]] }] });
    await untilWhole();
    t.ok(victim.lines.some((line) => line.includes("differ from the leader's at the same entry")));
  });

  await t.test("all but the key of a node is lost: it comes back as another member", async (t) => {
    const victim = other(cluster, [await cluster.untilLed()]);
    const { memberId, id } = (await victim.status()).node;
    await victim.kill();
    for (const name of await readdir(victim.directory)) {
      if (name !== "identity.key") await rm(join(victim.directory, name), { recursive: true });
    }
    victim.start();
    const anew = await victim.untilStatus("is a voter", ({ node, members }) =>
      members.some((member) => member.memberId === node.memberId && member.role === "voter"),
    );
    t.equal(anew.node.id, id);
    t.not(anew.node.memberId, memberId);
    await untilWhole();
  });

  await t.test("a log and another node's database are damaged: they wait, and touch nothing", async (t) => {
    const leader = await cluster.untilLed();
    const victims = cluster.agents.filter((agent) => agent !== leader);
    const [restored, repaired] = victims;
    if (!restored || !repaired) throw new Error("two victims");
    // A log that came with a snapshot holds little that can be damaged.
    await write(leader, 3);
    await cluster.untilEqual();
    await Promise.all(cluster.agents.map((agent) => agent.stop()));
    const backup = join(cluster.directory, "backup");
    await copyData(restored.directory, backup);
    for (const slot of ["1", "2", "3"])
      await mkdir(join(repaired.directory, "quarantine", slot), { recursive: true });
    const slots = await Promise.all(victims.map(quarantineOf));
    await flipInLog(restored.directory);
    await spoil(join(repaired.directory, "app.db"));
    const database = await readFile(join(repaired.directory, "app.db"));
    const log = await readLog(restored.directory);
    for (const agent of cluster.agents) agent.start();
    for (const victim of victims) {
      const { cluster: health, node } = await victim.untilStatus("waits for a quorum", ({ node }) =>
        node.troubles.some((trouble) => /quorum of the others/.test(trouble)),
      );
      t.match(health.health, /^damaged: /);
      t.match(node.troubles.join(), /damaged.*a start with the data restored works/s);
      t.match(await victim.query("SELECT 1"), { status: 503, code: "damaged" });
    }
    await leader.untilStatus(
      "sees both, and counts neither",
      ({ cluster: { health, votersReachable, failuresTolerated } }) =>
        victims.every(({ name }) => health.includes(`${name} is damaged`)) &&
        votersReachable === 1 &&
        failuresTolerated === -1,
    );
    t.strictSame(await readLog(restored.directory), log);
    t.ok(database.equals(await readFile(join(repaired.directory, "app.db"))));
    t.strictSame(await Promise.all(victims.map(quarantineOf)), slots, "nothing was put away");

    // A person brings one of them back; the other one needs nobody then.
    t.equal(await restored.stop(), 0);
    await rm(restored.directory, { recursive: true });
    await copyData(backup, restored.directory);
    restored.start();
    await cluster.agents[0]?.untilStatus("has a leader", ({ raft }) => raft.leader !== null);
    await untilWhole();
    await write(repaired, 3);
    await untilWhole();
    await until("old data is removed, now that there is a whole copy", 10_000, async () =>
      (await quarantineOf(repaired)).length === 2 ? true : null,
    );
  });
});

/** One that is none of `others`. */
function other(cluster: TestCluster, others: readonly AgentProcess[]): AgentProcess {
  const found = cluster.agents.find((agent) => !others.includes(agent));
  if (found === undefined) throw new Error("nobody else");
  return found;
}

/** In the middle of what is written to the newest segment that holds something. */
async function flipInLog(directory: string): Promise<void> {
  for (const name of (await readdir(join(directory, "raft"))).sort().reverse()) {
    const path = join(directory, "raft", name);
    const bytes = await readFile(path);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    if (end < 1_000) continue;
    const at = Math.floor(end / 2);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
    return writeFile(path, bytes);
  }
  throw new Error(`no segment to damage in ${directory}`);
}

/** The header of every page but the first is zeroed: what SQLite reads first of each. */
async function spoil(path: string): Promise<void> {
  const bytes = await readFile(path);
  const pageBytes = bytes.readUInt16BE(16);
  for (let at = pageBytes; at < bytes.length; at += pageBytes) bytes.fill(0, at, at + 16);
  await writeFile(path, bytes);
}

/** The first page of one table only: what else there is can be read, so that nobody notices before that table is. */
async function spoilTable(path: string, table: string): Promise<void> {
  const database = new sqlite.Database(path);
  let rootPage: unknown;
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    rootPage = database.get("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table])?.["rootpage"];
  } finally {
    database.close();
  }
  const bytes = await readFile(path);
  const pageBytes = bytes.readUInt16BE(16);
  const at = (Number(rootPage) - 1) * pageBytes;
  await writeFile(path, bytes.fill(0xaa, at, at + pageBytes));
}

/** The sums of all pages become right, as if what is wrong had been so before it was written. */
async function acceptPages(path: string): Promise<void> {
  const bytes = await readFile(path);
  const sums = PageSums.open(`${path}-sums`);
  const pageBytes = bytes.length / sums.pageCount;
  for (let page = 1; page <= sums.pageCount; page += 1)
    sums.learn(page, sumOf(bytes.subarray((page - 1) * pageBytes, page * pageBytes)));
  sums.save();
}

/** Behind the back of the agent, which does not run. */
function deleteRow(path: string, id: number): void {
  const database = new sqlite.Database(path);
  try {
    // Or else it cannot be opened: see `DatabaseFile`.
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.run("DELETE FROM kept WHERE id = ?", [id]);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } finally {
    database.close();
  }
}

/** The files of the log that hold something, by name. */
async function readLog(directory: string): Promise<Readonly<Record<string, string>>> {
  const log: Record<string, string> = {};
  for (const name of await readdir(join(directory, "raft"))) {
    const bytes = await readFile(join(directory, "raft", name));
    if (bytes.some((byte) => byte !== 0)) log[name] = bytes.toString("base64");
  }
  return log;
}

async function quarantineOf(agent: AgentProcess): Promise<readonly string[]> {
  const path = join(agent.directory, "quarantine");
  const isThere = await stat(path).catch(() => null);
  return isThere === null ? [] : (await readdir(path)).sort((a, b) => Number(b) - Number(a));
}

/** All but the lock, which is a socket. */
function copyData(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, filter: (path) => basename(path) !== "lock" });
}
