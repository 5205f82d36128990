import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { t } from "tap";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";
import { Writer } from "./writer.ts";

const RETAIN_BYTES = 64 * 1024;
/** More than SQLite keeps in memory of a database, and more than the log. */
const BALLAST_ROWS = 30;
const BALLAST_BYTES = 200_000;
/** Ids of one writer never meet those of another. */
const IDS_PER_WRITER = 10_000_000;
const DEADLINE_MS = 30_000;

t.test(
  "the leader meets a damaged page of app.db: the others go on, and it comes back with a fresh copy",
  { timeout: 120_000 },
  async (t) => {
    const cluster = await TestCluster.start(3, ["--log-retain", String(RETAIN_BYTES)]);
    t.teardown(() => cluster.end());
    const leader = await cluster.untilLed();
    await leader.execute(["CREATE TABLE kept (id INTEGER NOT NULL, writer TEXT NOT NULL)"]);
    await leader.execute(["CREATE TABLE ballast (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"]);
    for (let row = 0; row < BALLAST_ROWS; row++) {
      const insert = ["INSERT INTO ballast VALUES (?, ?)", row, "b".repeat(BALLAST_BYTES)];
      t.match(await leader.execute([insert]), { results: [{ rows_affected: 1 }] });
    }
    await cluster.untilEqual();
    const { memberId } = (await leader.status()).node;
    const writers = cluster.agents.map((agent, nth) => new Writer(agent, nth * IDS_PER_WRITER + 1));
    t.teardown(() => Promise.all(writers.map((writer) => writer.stop())));
    const others = writers.filter(({ agent }) => agent !== leader);

    for (const name of ["app.db", "app.db-wal"]) await spoil(join(leader.directory, name));
    const spoiltMs = performance.now();
    const { pid } = leader;
    // A write may meet it first: then the node takes no part already.
    t.match(await leader.query("SELECT count(*) FROM ballast WHERE body LIKE '%c%'"), {
      status: 503,
      code: /^(store-)?damaged$/,
    });
    const endedMs = performance.now();
    const next = await until("writes through both of the others", DEADLINE_MS, async () => {
      const found = others.map((writer) => writer.firstSentAfter(endedMs));
      return found.every((write) => write !== null) ? found.map((write) => write?.acknowledgedMs ?? 0) : null;
    });
    t.comment(
      `found after ${ms(endedMs - spoiltMs)}, writes through both others ${ms(Math.max(...next) - endedMs)} later`,
    );

    await leader.untilStatus(
      "has a leader and a whole copy",
      ({ raft, node }) => raft.leader !== null && raft.copyFault === null && node.troubles.length === 0,
    );
    t.equal(leader.pid, pid, "in the same process");
    t.ok(leader.lines.some((line) => /database of this node is damaged/.test(line)));
    t.ok(leader.isRunning);
    t.equal((await leader.status()).node.memberId, memberId, "its log was sound: it is the same member");
    t.equal((await readdir(join(leader.directory, "quarantine"))).length, 1, "what was damaged is kept");
    const backMs = performance.now();
    await until("writes through all", DEADLINE_MS, async () =>
      writers.every((writer) => writer.firstSentAfter(backMs) !== null) ? true : null,
    );
    await Promise.all(writers.map((writer) => writer.stop()));
    await cluster.untilEqual();
    for (const agent of cluster.agents) {
      t.strictSame(await agent.rows("SELECT count(*), sum(length(body)) FROM ballast"), [
        [BALLAST_ROWS, BALLAST_ROWS * BALLAST_BYTES],
      ]);
      const kept = new Set((await agent.rows("SELECT id FROM kept")).map(([id]) => Number(id)));
      const lost = writers.flatMap(({ acknowledged }) => acknowledged).filter(({ id }) => !kept.has(id));
      t.strictSame(lost, [], `${agent.name}: every acknowledged row is there`);
    }
    t.strictSame([...cluster.termsWithSeveralLeaders()], [], "no term had two leaders");
  },
);

/** All but the first page is zeroed, as a failing card may do under an agent that runs. */
async function spoil(path: string): Promise<void> {
  const bytes = await readFile(path);
  await writeFile(path, bytes.fill(0, 4096), { flag: "r+" });
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}
