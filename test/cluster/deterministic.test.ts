import { t } from "tap";
import { TestCluster } from "./test-cluster.ts";

/** Each makes content that depends on chance or time; all nodes must come to the same. */
const STATEMENTS = [
  "CREATE TABLE chance (id INTEGER PRIMARY KEY, number, moment)",
  "INSERT INTO chance (number, moment) VALUES (random(), datetime('now'))",
  "INSERT INTO chance (number, moment) VALUES (abs(random()) % 1000, strftime('%s %f', 'now'))",
  "CREATE TABLE stamped (id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP, day TEXT DEFAULT CURRENT_DATE)",
  "INSERT INTO stamped DEFAULT VALUES",
  "CREATE TABLE tokens (id INTEGER PRIMARY KEY, token BLOB)",
  "CREATE TRIGGER give_token AFTER INSERT ON chance BEGIN INSERT INTO tokens (token) VALUES (randomblob(8)); END",
  "INSERT INTO chance (number, moment) VALUES (random(), julianday('now')), (random(), unixepoch())",
  "CREATE TABLE shuffled (id INTEGER PRIMARY KEY, number)",
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO shuffled (number) SELECT i FROM n ORDER BY random()",
  "UPDATE shuffled SET number = number + random() % 7",
];

const TABLES = ["chance", "stamped", "tokens", "shuffled"];

t.test("statements of chance and time leave the same on all nodes", { timeout: 120_000 }, async (t) => {
  const cluster = await TestCluster.start(3);
  t.teardown(() => cluster.end());
  for (const [nth, statement] of STATEMENTS.entries()) {
    const answer = await cluster.agents[nth % 3]?.execute([statement]);
    t.equal(answer?.results?.[0]?.error, undefined, statement);
  }
  await cluster.untilEqual();
  const before = await contentOfAll(cluster);
  t.equal(new Set(before).size, 1, "the three copies are identical");
  t.not(contentOf(before[0] ?? "", "tokens").length, 0);

  // What is applied again from the log after a crash must come to the same once more.
  for (const agent of cluster.agents) agent.signal("SIGKILL");
  await Promise.all(cluster.agents.map((agent) => agent.exited()));
  for (const agent of cluster.agents) agent.start();
  await cluster.untilLed();
  await cluster.untilEqual();
  t.strictSame(await contentOfAll(cluster), before, "and the same after all were killed");
});

async function contentOfAll(cluster: TestCluster): Promise<readonly string[]> {
  return Promise.all(
    cluster.agents.map(async (agent) => {
      const tables = await Promise.all(
        TABLES.map(async (table) => [table, await agent.rows(`SELECT * FROM ${table} ORDER BY id`)] as const),
      );
      return JSON.stringify(Object.fromEntries(tables));
    }),
  );
}

function contentOf(content: string, table: string): readonly unknown[] {
  const tables = JSON.parse(content) as Readonly<Record<string, readonly unknown[]>>;
  return tables[table] ?? [];
}
