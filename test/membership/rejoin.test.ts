import { type Test, t } from "tap";
import { Bus } from "../../agent/bus/bus.ts";
import {
  answerReturners,
  incarnationsOf,
  leadersOf,
  type Members,
  type PresentMembers,
  type RejoinOptions,
  untilExpendable,
  untilMember,
  withReturner,
} from "../../agent/membership/rejoin.ts";
import { nextRepair } from "../../agent/membership/repair.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import { systemRandom } from "../../agent/platform/random.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";

const [A, B, C] = ["a".repeat(32), "b".repeat(32), "c".repeat(32)] as const;
const [a, b, c] = [A, B, C].map((nodeId) => memberIdOf(nodeId, "00000001")) as [string, string, string];
const c2 = memberIdOf(C, "00000002");
const c3 = memberIdOf(C, "00000003");

async function openBus(t: Test, nodeId: string, seeds: readonly Bus[] = []): Promise<Bus> {
  const bus = await Bus.open({
    ...{ cluster: "rejoin", nodeId, session: 1, listen: { host: "127.0.0.1", port: 0 } },
    seeds: seeds.map((seed) => seed.brokerUrl ?? ""),
    ...{ clock: systemClock, random: systemRandom, logger: { log: () => undefined } },
  });
  t.teardown(() => bus.close());
  return bus;
}

function announce(bus: Bus, leader: string | null, clusterId = "one", term = 2): void {
  const raft = { term, commit: 1, leader };
  const known = { version: "1", clusterId, api: null, broker: bus.brokerUrl, role: "voter" };
  bus.announce({ ...known, name: "n", memberId: "", raft });
}

t.test(
  "a damaged node waits until the leader confirms, then becomes a learner",
  { timeout: 30_000 },
  async (t) => {
    const leader = await openBus(t, A);
    const node = await openBus(t, C, [leader]);
    let members: PresentMembers = { voters: [a, b, c], outgoing: [], learners: [] };
    let leadsInTerm: number | null = null;
    let quorum: TrivetError | null = new TrivetError("timeout", "no quorum");
    const asked: Members[] = [];
    let pending: TrivetError | null = null;
    answerReturners(leader, {
      clusterId: "one",
      leadsIn: (term) => term === leadsInTerm,
      members: () => members,
      confirmQuorum: async (withoutNode) => {
        t.equal(withoutNode, C, "who asks does not count");
        if (quorum !== null) throw quorum;
      },
      changeMembers: async (target) => {
        if (pending !== null) throw pending;
        asked.push(target);
        members = { ...target, outgoing: [] };
      },
    });
    const stop = new AbortController();
    const reasons: string[] = [];
    const waitFor = (pattern: RegExp): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (reasons.some((reason) => pattern.test(reason))) resolve();
          else onReason = look;
        };
        look();
      });
    let onReason = (): void => undefined;
    const options: RejoinOptions = {
      bus: node,
      nodeId: C,
      clusterId: "one",
      clock: systemClock,
      signal: stop.signal,
      onWait: (reason) => {
        reasons.push(reason);
        onReason();
      },
    };
    let isExpendable = false;
    const expendable = untilExpendable(options, c).then(() => {
      isExpendable = true;
    });
    await waitFor(/no leader of the cluster is in sight/);
    announce(leader, A, "one", 1);
    await waitFor(/does not lead/);
    leadsInTerm = 2;
    reasons.length = 0;
    await waitFor(/does not lead/);
    t.notOk(isExpendable, "it was asked as the leader that it was before");
    announce(leader, A);
    await waitFor(/no quorum/);
    t.notOk(isExpendable, "without a quorum of others it may be the last copy");
    quorum = null;
    await expendable;
    t.strictSame(asked, [], "nothing has changed by asking");

    await untilMember(options, c2);
    t.strictSame(asked, [{ voters: [a, b, c], learners: [c2] }]);
    // What is not committed may be taken back: then nobody would make the node a member any more.
    pending = new TrivetError("change-pending", "not committed");
    const member = untilMember(options, c2);
    await waitFor(/not committed/);
    pending = null;
    await member;
    t.strictSame(asked[1], asked[0], "to ask again changes nothing");

    await t.test("for itself only, and in its own cluster", async (t) => {
      for (const [body, pattern] of [
        [["one", b], /for itself only/],
        [["two", c2], /another cluster/],
      ] as const) {
        const told: string[] = [];
        const [clusterId, memberId] = body;
        if (clusterId === "two") announce(leader, A, "two");
        const once = new AbortController();
        const onWait = (reason: string): void => {
          told.push(reason);
          if (pattern.test(reason)) once.abort(new Error("seen"));
        };
        await t.rejects(
          untilMember({ ...options, clusterId, signal: once.signal, onWait }, memberId),
          /seen/,
        );
        t.equal(asked.length, 2);
      }
    });

    await t.test("a node that the cluster does not know is turned away", async (t) => {
      announce(leader, A, "one");
      members = { voters: [a, b], outgoing: [], learners: [] };
      const once = new AbortController();
      const onWait = (reason: string): void => {
        if (/no member on this node/.test(reason)) once.abort(new Error("seen"));
      };
      await t.rejects(untilExpendable({ ...options, signal: once.signal, onWait }, c), /seen/);
    });
  },
);

t.test("leadersOf() takes the word of those that are up and of the cluster", async (t) => {
  const peer = (nodeId: string, term: number, leader: string | null, clusterId: string, up = true) => {
    const raft = { term, commit: 1, leader };
    const presence = {
      ...{ name: "", version: "1", memberId: "", clusterId, api: null, broker: null, role: "voter", raft },
    };
    return [nodeId, { nodeId, session: 1, presence, up, suspect: false }] as const;
  };
  const peers = new Map([
    peer(A, 4, A, "one"),
    peer(B, 5, B, "one"),
    peer(C, 5, B, "one"),
    peer("d".repeat(32), 7, A, "two"),
    peer("e".repeat(32), 8, "e".repeat(32), "one", false),
    peer("f".repeat(32), 9, null, "one"),
  ]);
  const leaders = [
    { leader: B, term: 5 },
    { leader: A, term: 4 },
  ];
  t.strictSame(leadersOf(peers, "one"), leaders, "each with its term, the newest first");
});

t.test("withReturner() leaves one learner of a node, incarnationsOf() finds all", async (t) => {
  const once = withReturner({ voters: [a, b, c], learners: [] }, c2);
  t.strictSame(withReturner(once, c3), { voters: [a, b, c], learners: [c3] });
  t.strictSame(incarnationsOf({ ...once, outgoing: [] }, C), [c, c2]);
  t.strictSame(incarnationsOf({ ...once, outgoing: [] }, "d".repeat(32)), []);
  const swapping = { voters: [a, b, c2], outgoing: [a, b, c], learners: [] };
  t.strictSame(incarnationsOf(swapping, C), [c2, c], "the old one has its vote until the swap is done");
});

t.test("nextRepair() swaps a node's new member for its old one once it has caught up", async (t) => {
  const members = { voters: [a, b, c], outgoing: [], learners: [c2], commitIndex: 5_000 };
  const peersWith = (match: number, isActive = true) => [
    { member: b, match: 5_000, isActive: true },
    { member: c, match: 5_000, isActive: false },
    { member: c2, match, isActive },
  ];
  t.strictSame(nextRepair({ ...members, peers: peersWith(4_900) }), { voters: [a, b, c2], learners: [] });
  t.equal(nextRepair({ ...members, peers: peersWith(100) }), null, "it is far behind");
  const joint = { ...members, outgoing: [a, b], peers: peersWith(4_900) };
  t.equal(nextRepair(joint), null, "another change is under way");
  t.equal(nextRepair({ ...members, peers: peersWith(5_000, false) }), null, "it does not answer");
  const young = { ...members, commitIndex: 500 };
  t.equal(nextRepair({ ...young, peers: peersWith(0) }), null, "it has not told what it holds");
  t.strictSame(nextRepair({ ...young, peers: peersWith(1) }), { voters: [a, b, c2], learners: [] });
  t.equal(nextRepair({ ...members, peers: null }), null, "this node does not lead");
  const other = memberIdOf("d".repeat(32), "00000001");
  const peers = [{ member: other, match: 5_000, isActive: true }];
  t.equal(nextRepair({ ...members, learners: [other], peers }), null, "a learner of another node stays one");
});
