import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { t } from "tap";
import { ServiceTrio } from "./service-trio.ts";

/** What clients hear of a leader's store that fails: nothing, where another node can do what they ask for. */

const OPTIONS = { transaction: false, timeoutMs: 20_000 } as const;
const faultyWorker = new URL("../store/faulty-worker.js", import.meta.url);

/** Has to be tried out, because its text does not tell how long it takes. */
const WALK =
  "INSERT INTO t WITH RECURSIVE w (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM w WHERE i < (SELECT 9 + count(*) FROM t)) SELECT max(i) FROM w";

t.test("a write that the leader tries out when its store fails is done by the next one", async (t) => {
  const trio = await ServiceTrio.start(t, { faultyWorker });
  const [leader, follower] = [trio.get(0), trio.get(1)];
  const execute = (sql: string) => follower.sql.execute([{ sql, parameters: [] }], OPTIONS);
  await execute("CREATE TABLE t (a)");

  await writeFile(join(leader.directory, "faults"), "writeSync EIO");
  t.match(await execute("INSERT INTO t VALUES (1)"), [{ kind: "changed" }], "the log has it");
  t.match(await execute(WALK), [{ kind: "changed", rowsAffected: 1 }]);

  const read = { sql: "SELECT a FROM t ORDER BY a", parameters: [] };
  const rows = await follower.sql.query([read], { level: "linearizable", timeoutMs: 20_000 });
  t.match(rows, [{ values: [[1], [10]] }]);
  t.not(follower.replica.leadership.leader, leader.replica.raft.id);
});
