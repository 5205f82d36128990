import { t } from "tap";
import { systemClock } from "../../agent/platform/clock.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { acceptDraft } from "../../agent/replica/command-draft.ts";
import { Deadline } from "../../agent/replica/deadline.ts";
import { RehearsalRules } from "../../agent/replica/rehearsal-rules.ts";
import { TOKENS_MAX } from "../../agent/store/limits.ts";
import { NO_TRAITS } from "../../agent/store/request-check.ts";
import type { CommandResult, SqlStatement } from "../../agent/store/types.ts";
import { ServiceTrio } from "./service-trio.ts";

/** Writes that may take for ever, on the leader of a real trio: what is tried out must be what is applied. */

const OPTIONS = { transaction: false, timeoutMs: 20_000 } as const;

const sql = (...texts: readonly string[]): readonly SqlStatement[] =>
  texts.map((text) => ({ sql: text, parameters: [] }));

const changed = (rowsAffected: number): object => ({ kind: "changed", rowsAffected });

const trio = await ServiceTrio.start(t);
const leader = trio.get(0);
const execute = (...texts: readonly string[]): Promise<CommandResult> =>
  leader.sql.execute(sql(...texts), OPTIONS);

await execute("CREATE TABLE todo (a)", "CREATE TABLE done (steps)", "CREATE TABLE other (a)");

/** Ends soon while `todo` is empty, and never once it is not. */
const WALK =
  "INSERT INTO done WITH RECURSIVE w (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM w WHERE i < (SELECT CASE WHEN (SELECT count(*) FROM todo) = 0 THEN 100 ELSE 1000000000000000 END)) SELECT max(i) FROM w";

async function countOf(table: string): Promise<unknown> {
  const options = { level: "linearizable", timeoutMs: 20_000 } as const;
  const [result] = await trio.get(2).sql.query(sql(`SELECT count(*) FROM ${table}`), options);
  return result?.kind === "rows" ? result.values[0]?.[0] : result;
}

t.test(
  "a write that comes while another one is tried out does not change what that is applied to",
  async (t) => {
    const answers = await Promise.all([execute(WALK), execute("INSERT INTO todo VALUES (1)")]);
    t.match(answers, [[changed(1)], [changed(1)]]);
    t.strictSame([await countOf("done"), await countOf("todo")], [1, 1]);
  },
);

t.test(
  "a write is tried out on what was proposed before it, and for a second while others wait",
  async (t) => {
    await execute("DELETE FROM todo");
    const before = execute("INSERT INTO todo VALUES (2)");
    const walk = t.rejects(execute(WALK), {
      code: "too-expensive",
      message: /other writes had waited 1000 ms.*was not carried out/,
    });
    const after = execute("INSERT INTO other VALUES (1)");
    t.match(await Promise.all([before, after]), [[changed(1)], [changed(1)]]);
    await walk;
    t.strictSame([await countOf("done"), await countOf("other")], [1, 1]);
  },
);

t.test("a write of a session that takes too long is refused through a follower, too", async (t) => {
  await execute("INSERT INTO todo VALUES (3)");
  const { sql: follower } = trio.get(1);
  const session = { id: await follower.openSession({ timeoutMs: 20_000 }), sequence: 1 };
  // The leader gives its answer after five seconds, and until then says that it is at work.
  await t.rejects(follower.execute(sql(WALK), { ...OPTIONS, session }), { code: "too-expensive" });
  await execute("DELETE FROM todo");
});

t.test("a lost answer to a write that is tried out is missed as soon as any other", async (t) => {
  const { sql: follower } = trio.get(1);
  const session = { id: await follower.openSession({ timeoutMs: 20_000 }), sequence: 1 };
  trio.network.answersToDrop.add("command/propose");
  const sinceMs = systemClock.nowMs();
  t.match(await follower.execute(sql(WALK), { ...OPTIONS, session }), [changed(1)]);
  const tookMs = systemClock.nowMs() - sinceMs;
  t.equal(trio.network.answersToDrop.size, 0);
  t.ok(tookMs > 900 && tookMs < 4_000, `${Math.round(tookMs)} ms`);
});

t.test("a plain write behind a trigger that is not applied yet is tried out with it", async (t) => {
  // Each row makes ten in the next table, without a SELECT anywhere.
  const levels = Array.from({ length: 15 }, (_, nth) => nth);
  await execute(...levels.map((nth) => `CREATE TABLE level${nth} (a)`));
  const body = (next: number): string => `INSERT INTO level${next} VALUES ${Array(10).fill("(1)").join()}`;
  const triggers = levels
    .slice(1)
    .map((next) => `CREATE TRIGGER t${next} AFTER INSERT ON level${next - 1} BEGIN ${body(next)}; END`);
  const made = execute(...triggers);
  const cascade = t.rejects(execute("INSERT INTO level0 VALUES (1)"), { code: "too-expensive" });
  // It waits in the same line, and so gives the write a second.
  const after = leader.sql.query(sql("SELECT 1"), { level: "strong", timeoutMs: 20_000 });
  await Promise.all([made, cascade, after]);
  t.equal(await countOf("level1"), 0);
  await execute(...triggers.map((_, nth) => `DROP TRIGGER t${nth + 1}`));
});

t.test("writes whose text is short and whose work is not are refused on the leader alone", async (t) => {
  const rows = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x";
  await execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)");
  await execute("CREATE TABLE child (id INTEGER PRIMARY KEY, up INTEGER REFERENCES parent)");
  await execute(`INSERT INTO parent ${rows} FROM n`, `INSERT INTO child ${rows}, NULL FROM n`);
  await execute(
    "CREATE TABLE large (a)",
    "INSERT INTO large VALUES (hex(randomblob(1024)) || hex(randomblob(1024)))",
  );
  for (let doubled = 0; doubled < 2; doubled++) await execute("UPDATE large SET a = a || a");
  await execute("INSERT INTO large SELECT l.a FROM large l, child c WHERE c.id < 30");

  const joined = Array.from({ length: 900 }, () => "a").join(" || ");
  for (const text of ["DELETE FROM parent", `UPDATE large SET a = ${joined}`]) {
    const refused = t.rejects(execute(text), { code: "too-expensive" }, text.slice(0, 40));
    // It waits in the same line, and so gives the write a second.
    await leader.sql.query(sql("SELECT 1"), { level: "strong", timeoutMs: 20_000 });
    await refused;
  }
  t.match(await execute("INSERT INTO parent VALUES (0)", "INSERT INTO large VALUES ('')"), [
    changed(1),
    changed(1),
  ]);
  await execute("CREATE INDEX up ON child (up)");
  t.match(await execute("DELETE FROM parent"), [changed(20_001)]);
});

t.test("in a large database, what is found by its key passes, and the rest is tried out", async (t) => {
  const { replica, store } = leader;
  const appliedIndex = (): number => store.applied.index;
  const rules = new RehearsalRules({ consensus: replica, store, appliedIndex });
  /** For how long at most; 0 if it is not. */
  const triedOutMs = (...texts: readonly string[]): number => {
    const sent = { kind: "sql", session: null, transaction: false, statements: sql(...texts) } as const;
    const draft = acceptDraft(sent);
    if (draft.kind !== "sql" || !rules.mustBeTried(draft)) return 0;
    return rules.limitsOf(draft).timeoutMs;
  };
  const [keyed, all] = ["UPDATE files SET n = n + 1 WHERE id = 3", "UPDATE files SET n = n + 1"];
  const index = "CREATE INDEX files_n ON files (n)";
  await execute("CREATE TABLE files (id INTEGER PRIMARY KEY, n, body)");
  t.strictSame(
    [keyed, all, index].map((text) => triedOutMs(text)),
    [0, 0, 0],
  );
  // Each is too large for one request with another.
  for (let id = 1; id <= 5; id++) await execute(`INSERT INTO files VALUES (${id}, 0, zeroblob(15000000))`);
  t.strictSame(
    [keyed, all, index].map((text) => triedOutMs(text)),
    [0, 5_000, 60_000],
  );
  t.equal(triedOutMs(index, "INSERT INTO files VALUES (6, 0, '')"), 5_000, "which is more than an index");
  t.match(await execute(keyed), [changed(1)]);
  t.match(await execute(all), [changed(5)], "numbers of the same length are written where they stand");
  t.match(await execute(index), [{ kind: "changed" }]);
  await t.rejects(execute("UPDATE files SET body = body || 'x'"), { code: "too-expensive" });
  t.match(await execute("DELETE FROM files WHERE id > 1"), [changed(4)]);
});

t.test("a write of a session that was done is answered, whatever it would cost now", async (t) => {
  await execute("DELETE FROM todo", "DELETE FROM done");
  const session = { id: await leader.sql.openSession(OPTIONS), sequence: 1 };
  const walk = (): Promise<CommandResult> => leader.sql.execute(sql(WALK), { ...OPTIONS, session });
  const { lastIndex } = leader.replica.raft;
  t.match(await Promise.all([walk(), walk()]), [[changed(1)], [changed(1)]]);
  t.equal(leader.replica.raft.lastIndex, lastIndex + 1, "a repetition waits for the same entry");
  await execute("INSERT INTO todo VALUES (3)");
  t.match(await walk(), [changed(1)]);
  t.equal(await countOf("done"), 1);

  leader.replica.proposer.refuseWrites(
    () => new TrivetError("disk-full", "Nothing was done: the disk is full."),
  );
  t.teardown(() => leader.replica.proposer.refuseWrites(() => null));
  t.match(await walk(), [changed(1)], "also while nothing is taken");
  const next = { ...OPTIONS, session: { ...session, sequence: 2 } };
  await t.rejects(leader.sql.execute(sql("INSERT INTO other VALUES (3)"), next), {
    code: "disk-full",
    message: /an earlier one with the same session and sequence may have been carried out/,
  });
  t.equal(await countOf("other"), 1);
});

t.test("the leader does not take another node's word for what a write may do", async (t) => {
  await execute("DELETE FROM todo", "INSERT INTO todo VALUES (4)");
  const { lastIndex } = leader.replica.raft;
  const { leader: access } = trio.get(1);
  const send = (...texts: readonly string[]): Promise<unknown> => {
    const statements = sql(...texts);
    const draft = { kind: "sql", session: null, transaction: false, statements, traits: NO_TRAITS } as const;
    return access.propose(draft, new Deadline(systemClock, OPTIONS.timeoutMs));
  };
  await t.rejects(send("INSERT INTO other VALUES (4)", "COMMIT"), { code: "transaction-control" });
  await t.rejects(send("UPDATE _trivet_meta SET value = 0"), { code: "reserved-name" });
  await t.rejects(send("EXPLAIN SELECT 1"), { code: "query-only" });
  await t.rejects(send(`INSERT INTO other VALUES ${"(4),".repeat(TOKENS_MAX / 4)}`), { code: "too-large" });
  // It waits in the same line, and so gives the write a second.
  const endless = t.rejects(send(WALK), { code: "too-expensive" });
  await leader.sql.query(sql("SELECT 1"), { level: "strong", timeoutMs: 20_000 });
  await endless;
  t.equal(leader.replica.raft.lastIndex, lastIndex + 1, "nothing but the read is in the log");
});
