import { t } from "tap";
import type { Peer } from "../../agent/bus/peer-table.ts";
import { formatStatus } from "../../agent/cli/format-status.ts";
import type { Damage } from "../../agent/membership/open-storage.ts";
import { presenceOf } from "../../agent/membership/presence-body.ts";
import { type StatusInput, statusOf } from "../../agent/membership/status.ts";
import { troublesOf } from "../../agent/membership/trouble.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import type { ReplicaStatus } from "../../agent/replica/replica-status.ts";

const [A, B, C] = ["a".repeat(32), "b".repeat(32), "c".repeat(32)] as const;
const voters = [A, B, C].map((nodeId) => memberIdOf(nodeId, "00000001"));
const [a = "", b = "", c = ""] = voters;

function peer(nodeId: string, memberId: string, options: { readonly up?: boolean } = {}): [string, Peer] {
  const raft = { term: 1, commit: 1, leader: A };
  const known = { version: "1", clusterId: "one", broker: null, role: "voter", raft };
  const presence = { ...known, name: `name-${nodeId[0]}`, memberId, api: `http://${nodeId[0]}` };
  return [nodeId, { nodeId, session: 1, presence, up: options.up ?? true, suspect: false }];
}

function input(peers: readonly [string, Peer][]): StatusInput {
  return {
    node: { version: "1", name: "name-a", api: "http://a", broker: null },
    identity: { id: A, memberId: a },
    uptimeMs: 1,
    clusterName: "shop",
    clusterId: "one",
    expect: 3,
    troubles: [],
    replica: {
      ...{
        memberId: a,
        role: "leader",
        term: 1,
        leader: a,
        firstIndex: 1,
        lastIndex: 9,
        logBytes: 900,
        commitIndex: 9,
        appliedIndex: 9,
        stalledMs: 0,
      },
      ...{
        voters,
        outgoing: [],
        learners: [],
        snapshot: null,
        copyFault: null,
        copyDamage: null,
        entryWait: null,
      },
      timing: { heartbeatMs: 150, electionMs: 900, electionMaxMs: 900 },
      peers: [
        { member: b, match: 9, next: 10, state: "replicate", isActive: true, rttMs: 0.3456 },
        { member: c, match: 2, next: 3, state: "snapshot", isActive: true, rttMs: null },
      ],
    },
    peers: new Map(peers),
    links: [],
  };
}

t.test("statusOf() counts the voters that are there", async (t) => {
  const { cluster, members, raft } = statusOf(input([peer(B, b), peer(C, c)]));
  t.match(cluster, { health: "HA: yes, 3 of 3 voters, tolerates 1 more failure", failuresTolerated: 1 });
  t.strictSame(
    members.map(({ name, reachable }) => [name, reachable]),
    [
      ["name-a", true],
      ["name-b", true],
      ["name-c", true],
    ],
  );
  t.strictSame(raft.leader, { nodeId: A, name: "name-a", api: "http://a" });
});

t.test(
  "statusOf() tells what the leader knows of the others' logs, and what is on its way here",
  async (t) => {
    const { replica, ...rest } = input([peer(B, b), peer(C, c)]);
    if (replica === null) throw new Error("a replica");
    const position = { index: 7, term: 1 };
    const snapshot = { source: B, position, receivedBytes: 10, totalBytes: 40, isPaused: true };
    const { members, raft } = statusOf({ ...rest, replica: { ...replica, snapshot, copyFault: "empty" } });
    t.strictSame(
      members.map(({ replication }) => replication),
      [
        null,
        { matchIndex: 9, state: "replicate", isActive: true, rttMs: 0.3 },
        { matchIndex: 2, state: "snapshot", isActive: true, rttMs: null },
      ],
    );
    t.match(raft, {
      firstIndex: 1,
      logBytes: 900,
      heartbeatMs: 150,
      electionTimeoutMs: 900,
      copyFault: "empty",
    });
    t.strictSame(raft.snapshot, { from: B, index: 7, receivedBytes: 10, totalBytes: 40, isPaused: true });
  },
);

t.test("statusOf() does not count a node that came back as another member: its vote is lost", async (t) => {
  const { cluster } = statusOf(input([peer(B, b), peer(C, memberIdOf(C, "99999999"))]));
  t.match(cluster, {
    votersReachable: 2,
    failuresTolerated: 0,
    health: /^degraded: 2 of 3 voters.*name-c unreachable/,
  });
});

t.test("statusOf() counts both sets while the voters are being changed", async (t) => {
  const D = "d".repeat(32);
  const d = memberIdOf(D, "00000001");
  const { replica, ...rest } = input([peer(B, b), peer(C, c, { up: false }), peer(D, d, { up: false })]);
  if (replica === null) throw new Error("a replica");
  const joint = statusOf({ ...rest, replica: { ...replica, voters: [a, b], outgoing: [a, c, d] } });
  t.strictSame(
    joint.members.map(({ nodeId, role }) => [nodeId[0], role]),
    [
      ["a", "voter"],
      ["b", "voter"],
      ["c", "outgoing"],
      ["d", "outgoing"],
    ],
  );
  t.match(joint.cluster, {
    ...{ voters: 3, votersReachable: 1, failuresTolerated: -1 },
    health: /^no quorum: 1 of 3 voters; name-c and name-d unreachable; the voters are being changed$/,
  });
});

t.test("statusOf() says what is missing without a quorum, and before there is a cluster", async (t) => {
  const alone = statusOf(input([peer(B, b, { up: false })]));
  t.match(alone.cluster, {
    failuresTolerated: -1,
    health: /^no quorum: 1 of 3 voters; name-b and cccccccc unreachable/,
  });
  const { replica: _, ...rest } = input([peer(B, b)]);
  const waiting = statusOf({ ...rest, clusterId: null, replica: null });
  t.match(waiting, {
    raft: { role: "waiting", leader: null },
    cluster: { health: /^waiting: 2 of 3 nodes/ },
  });
});

t.test("statusOf() counts nobody who could not stand in for another", async (t) => {
  const told = (...troubles: string[]): string => {
    const [, other] = peer(B, b);
    const sick: Peer = { ...other, presence: other.presence && { ...other.presence, extra: { troubles } } };
    return statusOf(input([[B, sick], peer(C, c)])).cluster.health;
  };
  t.match(told("behind"), /^degraded: 3 of 3 voters, tolerates no failure; name-b is far behind$/);
  t.match(told("log-full"), /^degraded: .* no failure; name-b stores no entries$/);
  t.match(told("disk-low"), /^HA: yes, 3 of 3 voters, tolerates 1 more failure; name-b is short of disk/);
  const own = statusOf({ ...input([peer(B, b), peer(C, c)]), troubles: [{ code: "stuck", text: "it is" }] });
  t.match(own.cluster, { failuresTolerated: 0, health: /^degraded: .*; this node is stuck: it is$/ });
});

t.test("troublesOf() says what keeps a member from following", async (t) => {
  const { replica } = input([]);
  if (replica === null) throw new Error("a replica");
  const disk = { state: "ok", freeBytes: 9e9, watermarkBytes: 1e8 } as const;
  const troubles = (change: Partial<ReplicaStatus>) =>
    troublesOf({ damage: null, isRejoining: false, disk, replica: { ...replica, ...change } });
  t.strictSame(troubles({ stalledMs: 300, entryWait: { ms: 300, reason: "No room." } }), []);
  t.match(troubles({ stalledMs: 61_000 }), [{ code: "stuck", text: /behind entry 9 for 61 s/ }]);
  t.match(troubles({ entryWait: { ms: 12_000, reason: "No room." } }), [
    { code: "log-full", text: /for 12 s: No room\./ },
  ]);
  const position = { index: 7, term: 1 };
  const snapshot = { source: B, position, receivedBytes: 10, totalBytes: 40, isPaused: true };
  t.match(troubles({ snapshot }), [{ code: "behind" }]);
  t.match(troubles({ snapshot, copyFault: "empty" }), [{ code: "incomplete" }], "which says as much");
});

t.test("statusOf() says that the database is stuck, and that another cluster has the name", async (t) => {
  const { replica, ...rest } = input([peer(B, b), peer(C, c)]);
  if (replica === null) throw new Error("a replica");
  t.ok(statusOf({ ...rest, replica: { ...replica, stalledMs: 61_000 } }).raft.isStuck);
  t.notOk(statusOf({ ...rest, replica: { ...replica, stalledMs: 300 } }).raft.isStuck);
  const apart = statusOf({ ...rest, clusterId: "two", replica });
  t.match(apart.cluster.health, /name-b is in another cluster of this name; name-c is in another/);
});

t.test("statusOf() tells what is wrong with this node, and with which others", async (t) => {
  const [, other] = peer(B, b);
  const extra = { troubles: ["disk-low", "from-a-later-version", 7] };
  const sick: Peer = { ...other, presence: other.presence && { ...other.presence, extra } };
  const gone: Peer = { ...sick, up: false };
  const troubles = [{ code: "damaged", text: "a bit flipped" }] as const;
  const status = statusOf({ ...input([[B, sick], peer(C, c)]), troubles });
  t.strictSame(status.node.troubles, ["a bit flipped"]);
  t.match(status.cluster.health, /; this node is damaged: a bit flipped; name-b is short of disk space$/);
  t.notMatch(statusOf(input([[B, gone], peer(C, c)])).cluster.health, /disk/, "nor what it said before");
  const alone = statusOf({ ...input([]), replica: null, troubles });
  t.match(alone.cluster.health, /^damaged: this node takes no part/);
});

t.test("troublesOf() tells of damaged databases once, whoever has told of them", async (t) => {
  const disk = { state: "ok", freeBytes: 1, watermarkBytes: 0 } as const;
  const error = new TrivetError("store-damaged", "a bit flipped");
  const { replica } = input([]);
  if (replica === null) throw new Error("a replica");
  const codesOf = (damage: Damage | null) =>
    troublesOf({ damage, isRejoining: false, disk, replica: { ...replica, copyFault: "damaged" } }).map(
      ({ code }) => code,
    );
  t.strictSame(codesOf({ error, waitsFor: "the leader" }), ["damaged"]);
  t.strictSame(codesOf(null), ["damaged"]);
});

t.test("a damaged page that the others cannot mend now is told of, with what to do", async (t) => {
  const { replica, ...rest } = input([peer(B, b), peer(C, c, { up: false })]);
  if (replica === null) throw new Error("a replica");
  const disk = { state: "ok", freeBytes: 9e9, watermarkBytes: 1e8 } as const;
  const copyDamage = "app.db: page 4 of 9 is not what was written";
  const damaged = { ...replica, copyDamage };
  const troubles = troublesOf({ damage: null, isRejoining: false, disk, replica: damaged });
  t.match(troubles, [
    { code: "page-damaged", text: /^app\.db: page 4 .*\. It is served all the same.*Bring back the nodes/ },
  ]);
  const status = statusOf({ ...rest, replica: damaged, troubles });
  t.equal(status.raft.copyDamage, copyDamage);
  t.match(status.node.troubles, [/page 4/]);
  const [sentence] = formatStatus(status);
  t.match(sentence, /this node has a damaged page: app\.db: page 4/);
  const { peers } = input([peer(B, b), peer(C, c)]);
  const tolerated = (own: typeof troubles) =>
    statusOf({ ...rest, peers, replica: damaged, troubles: own }).cluster.failuresTolerated;
  t.strictSame([tolerated([]), tolerated(troubles)], [1, 0], "there may be no whole copy after one more");
  const fetching = { ...damaged, copyFault: "doubtful" } as const;
  t.match(troublesOf({ damage: null, isRejoining: false, disk, replica: fetching }), [
    { code: "page-damaged", text: /another node's copy is on its way/ },
  ]);
});

t.test("presenceOf() does not speak for a member that is damaged", async (t) => {
  const status = statusOf(input([]));
  t.equal(presenceOf(status, []).memberId, a);
  t.equal(presenceOf(status, []).extra, undefined);
  const told = presenceOf(status, [{ code: "damaged", text: "" }]);
  t.match(told, { memberId: "", clusterId: "one", extra: { troubles: ["damaged"] } });
  const low = presenceOf(status, [{ code: "disk-low", text: "" }]);
  t.match(low, { memberId: a, extra: { troubles: ["disk-low"] } });
});
