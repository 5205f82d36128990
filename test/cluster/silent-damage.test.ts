import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { t } from "tap";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";

/** So little that no log makes the databases anew. */
const RETAIN_BYTES = 64 * 1024;
const DEADLINE_MS = 60_000;
const WRITES = 40;
const ROWS_PER_WRITE = 10;
/** In every row, behind its number. */
const TEXT = "x".repeat(400);
const CONTENT = "SELECT id, body FROM kept ORDER BY id";

for (const [what, damaged] of [
  ["one of three agents", 1],
  ["two of three agents", 2],
] as const)
  t.test(
    `a bit flips in a row of ${what} while they are down: nobody gets it`,
    { timeout: 150_000 },
    async (t) => {
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
      const before = await cluster.untilEqual();
      t.ok(
        before.every(({ raft }) => raft.firstIndex > 1),
        "no log makes them anew",
      );
      // Also the one that led, and is likely to lead again.
      const victims = [leader, ...cluster.agents.filter((agent) => agent !== leader)].slice(0, damaged);
      await Promise.all(cluster.agents.map((agent) => agent.stop()));
      for (const victim of victims) await flipInRow(join(victim.directory, "app.db"), 17);

      for (const agent of cluster.agents) agent.start();
      for (const victim of victims) {
        await until("another copy has come", DEADLINE_MS, async () =>
          victim.lines.some((line) => /A snapshot is installed.*doubtful/.test(line)) ? true : null,
        );
        t.ok(victim.lines.some((line) => /app\.db: page \d+ .*is not what was written/.test(line)));
      }
      for (const agent of cluster.agents)
        await agent.untilStatus(
          "is whole again",
          ({ raft, node, cluster }) =>
            raft.leader !== null &&
            raft.copyDamage === null &&
            node.troubles.length === 0 &&
            cluster.failuresTolerated === 1,
        );
      const after = await Promise.all(cluster.agents.map((agent) => agent.status()));
      t.strictSame(
        after.map(({ node }) => node.memberId),
        before.map(({ node }) => node.memberId),
        "they are the members that they were",
      );
      t.match(await leader.execute([["INSERT INTO kept VALUES (?, ?)", -1, "after"]]), { status: 200 });
      await cluster.untilEqual();
      const expected = Array.from({ length: WRITES * ROWS_PER_WRITE }, (_, id) => [id, bodyOf(id)]);
      for (const agent of cluster.agents)
        t.strictSame(await agent.rows(CONTENT), [[-1, "after"], ...expected], agent.name);
    },
  );

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
