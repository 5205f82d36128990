import { t } from "tap";
import { insertKept, putNote, SessionWriter } from "./session-writer.ts";
import { TestCluster } from "./test-cluster.ts";
import { until } from "./until.ts";
import { Watcher } from "./watcher.ts";

const KILLS = 6;
const WRITERS = 15;
const IDS_PER_WRITER = 10_000_000;

t.test(
  "leaders killed under load: a write of a session applies once, a watch has no gap and no double",
  { timeout: 240_000 },
  async (t) => {
    const cluster = await TestCluster.start(3);
    t.teardown(() => cluster.end());
    const { agents } = cluster;
    await agents[0]?.execute(["CREATE TABLE kept (id INTEGER NOT NULL, attempt INTEGER NOT NULL)"]);
    const turn = (nth: number): typeof agents =>
      agents.map((_, at) => agents[(nth + at) % 3] ?? agents[at]).filter((agent) => agent !== undefined);
    const sqlWriters = Array.from(
      { length: WRITERS },
      (_, nth) => new SessionWriter(turn(nth), nth * IDS_PER_WRITER, insertKept),
    );
    // One: the history keeps so many changes, and a watcher that starts at 0 below is to see all of them.
    const noteWriter = new SessionWriter(turn(0), WRITERS * IDS_PER_WRITER, putNote);
    const writers = [...sqlWriters, noteWriter];
    const watchers = [0, 1, 2].map((nth) => new Watcher(turn(nth)));

    for (let kill = 0; kill < KILLS; kill++) {
      const counts = writers.map(({ acknowledged }) => acknowledged.length);
      await until("writes of all sessions", 30_000, async () =>
        writers.every(({ acknowledged }, nth) => acknowledged.length >= (counts[nth] ?? 0) + 5) ? true : null,
      );
      const leader = await cluster.untilLed();
      // Frozen for a moment, it leaves entries at the others that it cannot answer for any more.
      leader.signal("SIGSTOP");
      await Promise.all(agents.filter((agent) => agent !== leader).map((agent) => agent.status()));
      await leader.kill();
      leader.start();
    }
    await Promise.all(writers.map((writer) => writer.stop()));
    await cluster.untilLed();
    await cluster.untilEqual();

    t.strictSame(
      writers.flatMap(({ refusals }) => refusals),
      [],
      "no session was refused",
    );
    const attempts = new Map(
      sqlWriters.flatMap(({ acknowledged }) => acknowledged).map(({ id, attempt }) => [id, attempt]),
    );
    for (const agent of agents) {
      const rows = await agent.rows("SELECT id, count(*), min(attempt) FROM kept GROUP BY id ORDER BY id");
      t.strictSame(
        rows.filter(([, count]) => count !== 1),
        [],
        `${agent.name}: no write was applied twice`,
      );
      t.strictSame(
        rows.map(([id]) => id),
        [...attempts.keys()].sort((a, b) => a - b),
        `${agent.name}: every write was applied`,
      );
      const repeated = rows.filter(([id, , attempt]) => Number(attempt) < (attempts.get(Number(id)) ?? 0));
      t.ok(
        repeated.length > 0,
        `${agent.name}: ${repeated.length} answers were lost and had by a repetition`,
      );
    }

    // A watch that was never interrupted shows what the others should have seen.
    const [first] = agents;
    if (first === undefined) throw new Error("there are no agents");
    const calm = new Watcher([first]);
    const last = Math.max(...watchers.map(({ revision }) => revision));
    await until("all watchers at the end", 30_000, async () =>
      [calm, ...watchers].every(({ revision }) => revision >= last) ? true : null,
    );
    await Promise.all([calm, ...watchers].map((watcher) => watcher.stop()));
    const notes = noteWriter.acknowledged.map(({ id }) => id);
    t.strictSame(
      calm.seen.map(({ body }) => Number(JSON.parse(body)[0])),
      notes,
      "every note was written once, in order",
    );
    for (const [nth, { seen, failures }] of watchers.entries()) {
      t.strictSame(failures, [], `watcher ${nth} was refused nothing`);
      t.strictSame(seen, calm.seen, `watcher ${nth} saw each change once, in order`);
    }
    const resumed = watchers.reduce((sum, watcher) => sum + watcher.resumed, 0);
    t.comment(`${attempts.size} rows, ${notes.length} notes, ${resumed} resumed watches`);
  },
);
