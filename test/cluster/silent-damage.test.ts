import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { t } from "tap";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";

/** So little that no log makes the databases anew. */
const RETAIN_BYTES = 64 * 1024;
const DEADLINE_MS = 30_000;
const WRITES = 40;
const ROWS_PER_WRITE = 10;
/** In every row, behind its number. */
const TEXT = "x".repeat(400);
const CONTENT = "SELECT id, body FROM kept ORDER BY id";

t.test("a bit flips in a row while an agent is down: nobody gets it", { timeout: 150_000 }, async (t) => {
  const cluster = await TestCluster.start(3, ["--log-retain", String(RETAIN_BYTES)]);
  t.teardown(() => cluster.end());
  const leader = await cluster.untilLed();
  await leader.execute(["CREATE TABLE kept (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"]);
  for (let first = 0; first < WRITES * ROWS_PER_WRITE; first += ROWS_PER_WRITE) {
    const rows = Array.from({ length: ROWS_PER_WRITE }, (_, nth) => [
      "INSERT INTO kept VALUES (?, ?)",
      first + nth,
      bodyOf(first + nth),
    ]);
    t.match(await leader.execute(rows), { status: 200 });
  }
  await cluster.untilEqual();
  const [victim] = cluster.agents.filter((agent) => agent !== leader);
  if (victim === undefined) throw new Error("no follower");
  const { memberId } = (await victim.status()).node;
  t.ok((await victim.status()).raft.firstIndex > 1, "its log does not make them anew");
  t.equal(await victim.stop(), 0);
  await flipInRow(join(victim.directory, "app.db"), 17);

  victim.start();
  await until("it is found", DEADLINE_MS, async () =>
    victim.lines.some((line) => /app\.db: page \d+ .*is not what was written/.test(line)) ? true : null,
  );
  await until("its databases are put by", DEADLINE_MS, async () =>
    victim.lines.some((line) => /this member fetches a fresh copy/.test(line)) ? true : null,
  );
  await victim.untilStatus(
    "is whole again",
    ({ raft, node }) => raft.leader !== null && raft.copyFault === null && node.troubles.length === 0,
  );
  t.ok(victim.isRunning, "in the same process");
  t.equal((await victim.status()).node.memberId, memberId, "it is the same member");
  t.equal((await readdir(join(victim.directory, "quarantine"))).length, 1, "what was damaged is kept");
  t.match(await victim.execute([["INSERT INTO kept VALUES (?, ?)", -1, "after"]]), { status: 200 });
  await cluster.untilEqual();
  const expected = Array.from({ length: WRITES * ROWS_PER_WRITE }, (_, id) => [id, bodyOf(id)]);
  for (const agent of cluster.agents)
    t.strictSame(await agent.rows(CONTENT), [[-1, "after"], ...expected], agent.name);
});

function bodyOf(id: number): string {
  return `row ${id} ${TEXT}`;
}

/** The database is as sound as before, to SQLite. */
async function flipInRow(path: string, id: number): Promise<void> {
  const bytes = await readFile(path);
  const at = bytes.indexOf(bodyOf(id)) + `row ${id} `.length + 7;
  if (at < 100) throw new Error(`row ${id} is not in ${path}`);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x01, at);
  await writeFile(path, bytes);
}
