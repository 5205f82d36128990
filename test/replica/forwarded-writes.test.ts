import { t } from "tap";
import { encodeProposal } from "../../agent/replica/leader-wire.ts";
import type { SqlStatement } from "../../agent/store/types.ts";
import { until } from "../cluster/until.ts";
import { type ServiceNode, ServiceTrio } from "./service-trio.ts";

/** Writes that a follower sends to the leader: each is done once, in the term and in the time that it was sent for. */

const DEADLINE_MS = 20_000;
const OPTIONS = { transaction: false, timeoutMs: DEADLINE_MS } as const;

const insert = (id: number): readonly SqlStatement[] => [
  { sql: "INSERT INTO kept VALUES (?)", parameters: [id] },
];

const trio = await ServiceTrio.start(t);
const [leader, follower] = [trio.get(0), trio.get(1)];
await follower.sql.execute([{ sql: "CREATE TABLE kept (id)", parameters: [] }], OPTIONS);

async function count(id: number): Promise<unknown> {
  const statement = { sql: "SELECT count(*) FROM kept WHERE id = ?", parameters: [id] };
  const [result] = await trio
    .get(2)
    .sql.query([statement], { level: "linearizable", timeoutMs: DEADLINE_MS });
  return result?.kind === "rows" ? result.values[0]?.[0] : result;
}

function untilLeads({ replica }: ServiceNode): Promise<true> {
  return until("it leads", DEADLINE_MS, async () => (replica.leadership.isLeader ? true : null));
}

t.test("a copy of a forwarded write that comes once its leader leads anew does nothing", async (t) => {
  const { term } = leader.replica.raft;
  const draft = { kind: "sql", session: null, transaction: false, statements: insert(1) } as const;
  const signal = new AbortController().signal;
  const send = (): Promise<Uint8Array> =>
    trio.network
      .transportOf(follower.nodeId)
      .request(leader.nodeId, "command/propose", encodeProposal({ term, draft }), {
        timeoutMs: DEADLINE_MS,
        signal,
      });
  await send();
  t.equal(await count(1), 1);

  await leader.replica.leadership.handOver(DEADLINE_MS, follower.replica.raft.id);
  await t.rejects(send(), { code: "not-leader" });
  await follower.replica.leadership.handOver(DEADLINE_MS, leader.replica.raft.id);
  await untilLeads(leader);
  t.ok(leader.replica.raft.term > term);
  await t.rejects(send(), { code: "not-leader" }, "it leads, but was not asked in this term");
  t.equal(await count(1), 1);
});

t.test("a forwarded write does not enter the log after its time", async (t) => {
  // Behind a table that is not applied yet, a write waits: the table may bring triggers.
  leader.replica.pauseStoring();
  const made = leader.sql.execute([{ sql: "CREATE TABLE other (id)", parameters: [] }], OPTIONS);
  const late = (node: ServiceNode, id: number): Promise<unknown> =>
    t.rejects(node.sql.execute(insert(id), { ...OPTIONS, timeoutMs: 100 }), { code: /timeout|store-busy/ });
  await late(follower, 2);
  // Over for the leader, too, which has heard of it a little later.
  await late(leader, 3);
  leader.replica.resumeStoring();
  await made;
  await follower.sql.execute(insert(4), OPTIONS);
  t.strictSame([await count(2), await count(3), await count(4)], [0, 0, 1]);
});

t.test("a forwarded write that its sender gave up on holds no place at the leader", async (t) => {
  leader.replica.pauseStoring();
  await t.rejects(follower.sql.execute(insert(6), { ...OPTIONS, timeoutMs: 100 }), { code: "timeout" });
  const isLet = async (): Promise<true | null> => (trio.network.answering === 0 ? true : null);
  await until("nobody is being answered", DEADLINE_MS, isLet);
  leader.replica.resumeStoring();
  await follower.sql.execute(insert(7), OPTIONS);
  t.equal(await count(6), 1, "it was in the log");
});

t.test("a write that is sent again does not end with the time of its first try", async (t) => {
  const session = { id: await follower.sql.openSession(OPTIONS), sequence: 1 };
  leader.replica.pauseStoring();
  const made = leader.sql.execute([{ sql: "CREATE TABLE third (id)", parameters: [] }], OPTIONS);
  const first = leader.sql.execute(insert(5), { ...OPTIONS, timeoutMs: 100, session });
  const second = leader.sql.execute(insert(5), { ...OPTIONS, session });
  await t.rejects(first, { code: "timeout" });
  leader.replica.resumeStoring();
  t.match((await Promise.all([made, second]))[1], [{ kind: "changed", rowsAffected: 1 }]);
  t.equal(await count(5), 1);
});

t.test("a leader that stays silent is asked again after twice the time", async (t) => {
  trio.network.answerMs = (method) => (method === "command/read-index" ? DEADLINE_MS : 1);
  const asked = (): number => trio.network.delivered.get("command/read-index") ?? 0;
  const before = asked();
  const read = follower.sql.query([], { level: "linearizable", timeoutMs: 3_500 });
  await t.rejects(read, { code: "timeout" });
  trio.network.answerMs = () => 1;
  t.ok([2, 3].includes(asked() - before), `${asked() - before} times: at once, after 1 s, after 3 s`);
});
