import { t } from "tap";
import type { MemberStatus } from "../../agent/membership/agent-status.ts";
import type { AgentProcess } from "../cluster/agent-process.ts";
import { checkKept } from "./check-kept.ts";
import { memberIdOf, OrderedCluster } from "./ordered-cluster.ts";
import { RecordedClients } from "./recorded-clients.ts";

/** Three voters and a learner. */
const SIZE = 4;
/** `npm run test:network` asks for more. */
const ROUNDS = Number(process.env["TRIVET_NETWORK_ROUNDS"] ?? 1);
const SEED = Number(process.env["TRIVET_NETWORK_SEED"] ?? 1);
const WRITES = 5;
/** So little that newcomers get a snapshot. */
const RETAIN_BYTES = 64 * 1024;

t.test(
  "members of real processes are swapped while clients read and write",
  { timeout: 120_000 + 90_000 * ROUNDS },
  async (t) => {
    const ordered = await OrderedCluster.start(SIZE, ["--log-retain", String(RETAIN_BYTES)]);
    const { cluster, agents } = ordered;
    t.teardown(() => cluster.end());
    const workload = await RecordedClients.start(cluster, { perAgent: 2, seed: SEED });
    t.teardown(() => workload.stop());

    const swap = async (
      who: "a follower" | "the leader",
      then: (swap: Swap) => Promise<void>,
    ): Promise<void> => {
      const next = await nextSwap(ordered, who);
      const stay = agents.filter((agent) => agent !== next.leaver);
      const startMs = performance.now();
      await then(next);
      await workload.writesThroughEach(stay, WRITES, startMs);
      t.comment(
        `${who} swapped; ${WRITES} writes through each of the others after ${(performance.now() - startMs).toFixed(0)} ms`,
      );
      const retired = await ordered.change(await ordered.leader(), next.before, []);
      t.equal(retired, "member-retired", "who has left does not come back");
      // As another, empty member it does: the next newcomer.
      const id = await ordered.replace(next.leaver);
      t.equal(await ordered.change(await ordered.leader(), next.after, [id]), "done");
      await next.leaver.untilStatus(
        "has caught up",
        ({ raft }) => raft.role === "learner" && raft.lastIndex > 0,
      );
    };

    for (let round = 0; round < ROUNDS; round++) {
      await swap("a follower", async ({ leader, after }) => {
        t.equal(await ordered.change(leader, after, []), "done");
      });
      await swap("the leader", async ({ leader, after }) => {
        t.equal(
          await ordered.change(leader, after, []),
          "done",
          "it answers, though it has no vote any more",
        );
        await leader.untilStatus("has handed over", ({ raft }) => raft.role !== "leader");
      });
      await swap("a follower", async ({ leader, before, after }) => {
        const change = ordered.change(leader, after, []).catch(() => "lost");
        await leader.untilStatus("has begun", ({ members }) => !isOf(members, before));
        await leader.kill();
        t.comment(`the leader killed: ${await change}`);
        leader.start();
        const members = await ordered.settled();
        t.ok(isOf(members, before) || isOf(members, after), "the old members or the new ones");
        if (isOf(members, before)) t.equal(await ordered.change(await ordered.leader(), after, []), "done");
      });
    }
    await cluster.untilLed();
    await checkKept(t, cluster, workload);
  },
);

interface Swap {
  readonly leader: AgentProcess;
  readonly leaver: AgentProcess;
  /** The voters; after it, the learner has the place of `leaver`. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

async function nextSwap(ordered: OrderedCluster, who: "a follower" | "the leader"): Promise<Swap> {
  const leader = await ordered.cluster.untilLed();
  const { members } = await leader.status();
  const before = voterIds(members);
  const newcomer = members.find(({ role }) => role === "learner");
  const ids = new Map(
    await Promise.all(ordered.agents.map(async (agent) => [await memberIdOf(agent), agent] as const)),
  );
  const leaving = before.find((id) => (ids.get(id) === leader) === (who === "the leader"));
  const leaver = ids.get(leaving ?? "");
  if (leaver === undefined || newcomer === undefined)
    throw new Error(`nobody to swap: ${JSON.stringify(members)}`);
  return { leader, leaver, before, after: before.map((id) => (id === leaving ? newcomer.memberId : id)) };
}

function voterIds(members: readonly MemberStatus[]): readonly string[] {
  return members.filter(({ role }) => role === "voter").map(({ memberId }) => memberId);
}

/** Nobody is outgoing, and these are the voters. */
function isOf(members: readonly MemberStatus[], voters: readonly string[]): boolean {
  const present = voterIds(members);
  return (
    !members.some(({ role }) => role === "outgoing") &&
    present.length === voters.length &&
    voters.every((id) => present.includes(id))
  );
}
