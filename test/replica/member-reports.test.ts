import { t } from "tap";
import { encodeCbor } from "../../agent/platform/cbor.ts";
import type { DiskState } from "../../agent/replica/disk-state.ts";
import type { Digest } from "../../agent/replica/divergence.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import { MemberReports } from "../../agent/replica/member-reports.ts";
import {
  decodeReport,
  decodeVerdict,
  encodeReport,
  encodeVerdict,
  type MemberReport,
} from "../../agent/replica/report-wire.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { MemoryNetwork } from "./memory-network.ts";

type ReplicaPart = ConstructorParameters<typeof MemberReports>[0]["replica"];

/** A member as far as reports see it: who leads, what it has applied, whether it was put out of use. */
class ReportingMember {
  readonly reports: MemberReports;
  readonly memberId: string;
  readonly lines: string[] = [];
  leader: string | null = null;
  /** Leads, and hands over: nobody is told that it leads. */
  isTransferring = false;
  term = 1;
  disk: DiskState = "ok";
  stalledMs = 0;
  fault: "diverged" | null = null;
  /** To whom it has handed over. */
  successor: string | null = null;
  active: readonly string[] = [];
  #digest: Digest = { index: 0, hash: new Uint8Array(0) };
  readonly #listeners = new Set<() => void>();
  readonly #installed = new Set<() => void>();

  constructor(letter: string, members: readonly string[], network: MemoryNetwork, clock: ManualClock) {
    this.memberId = idOf(letter);
    const member = this;
    const replica: ReplicaPart = {
      status: () => this.#status(members),
      leadership: {
        get present() {
          const { leader, memberId, fault } = member;
          if (member.isTransferring || leader === null || (leader === memberId && fault !== null))
            return null;
          return { member: leader, term: member.term };
        },
        get isLeader() {
          return this.present?.member === member.memberId;
        },
        leadsIn(term) {
          return this.isLeader && member.term === term;
        },
        yieldTo: (to) => {
          this.successor = to;
        },
      },
      copy: {
        quarantine: (fault) => {
          if (fault === "diverged") this.fault = fault;
        },
      },
      onApplied: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      onInstalled: (listener) => {
        this.#installed.add(listener);
        return () => this.#installed.delete(listener);
      },
    };
    this.reports = new MemberReports({
      replica,
      digest: () => this.#digest,
      disk: () => this.disk,
      transport: network.transportOf(letter.repeat(32)),
      clock,
      session: 1,
      logger: { log: (_level, message) => this.lines.push(message) },
    });
  }

  apply(index: number, state: string): void {
    this.#digest = { index, hash: Buffer.from(state) };
    for (const listener of this.#listeners) listener();
  }

  install(index: number, state: string): void {
    this.#digest = { index, hash: Buffer.from(state) };
    this.fault = null;
    for (const listener of this.#installed) listener();
  }

  #status(members: readonly string[]): ReturnType<ReplicaPart["status"]> {
    const peers = members
      .filter((member) => member !== this.memberId)
      .map((member) => ({
        ...{ member, match: 0, next: 1, state: "replicate" as const, rttMs: null },
        isActive: this.active.includes(member),
      }));
    const role = this.leader === this.memberId ? "leader" : "follower";
    return {
      ...{ memberId: this.memberId, role, term: this.term, leader: this.leader },
      ...{ firstIndex: 1, lastIndex: 0, logBytes: 0, commitIndex: 0, appliedIndex: 0 },
      stalledMs: this.stalledMs,
      entryWait: null,
      ...{
        voters: members,
        outgoing: [],
        learners: [],
        peers,
        snapshot: null,
        copyFault: this.fault,
        copyDamage: null,
      },
      timing: { heartbeatMs: 1, electionMs: 10, electionMaxMs: 10 },
    };
  }
}

const REPORT = {
  ...{ term: 2, session: 1, sentMs: 1, copySinceMs: 0 },
  ...({ disk: "ok", isStuck: false, digests: [] } as const),
};

function idOf(letter: string): string {
  return memberIdOf(letter.repeat(32), "00000001");
}

class Group {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly members: readonly [ReportingMember, ReportingMember, ReportingMember];

  constructor() {
    const ids = ["a", "b", "c"].map(idOf);
    const [a, b, c] = ["a", "b", "c"].map(
      (letter) => new ReportingMember(letter, ids, this.network, this.clock),
    );
    if (!a || !b || !c) throw new Error("three members");
    this.members = [a, b, c];
    this.lead(a);
  }

  lead(leader: ReportingMember): void {
    for (const member of this.members) {
      member.leader = leader.memberId;
      member.term += 1;
      member.active = this.members.map(({ memberId }) => memberId);
    }
  }

  /** To the first of the members, from a node. */
  send(from: string, report: MemberReport): Promise<Uint8Array> {
    const options = { timeoutMs: 10_000, signal: new AbortController().signal };
    return this.network
      .transportOf(from)
      .request("a".repeat(32), "replica/report", encodeReport(report), options);
  }

  /** The same; resolves with the answer. */
  async tell(letter: string, report: MemberReport): Promise<Uint8Array> {
    const answer = this.send(letter.repeat(32), report);
    await Promise.all([this.pass(0.25), answer.catch(() => undefined)]);
    return answer;
  }

  /** Lets time pass, and what is under way arrive. */
  async pass(seconds: number): Promise<void> {
    for (let ms = 0; ms < seconds * 1_000; ms += 250) {
      this.clock.advance(250);
      for (let round = 0; round < 4; round++) {
        await new Promise((resolve) => setImmediate(resolve));
        this.clock.advance(1);
      }
    }
  }

  get requests(): number {
    return this.network.delivered.get("replica/report") ?? 0;
  }
}

t.test("followers report what is new, and only that", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  for (const member of group.members) member.apply(7, "x");
  await group.pass(3);
  t.equal(group.requests, 2, "each follower once");
  await group.pass(10);
  t.equal(group.requests, 2, "and no more while nothing changes");
  b.disk = "low";
  await group.pass(2);
  t.equal(group.requests, 3);
  t.equal(a.reports.reports.get(b.memberId)?.disk, "low");
  b.stalledMs = 60_000;
  await group.pass(2);
  t.equal(group.requests, 4);
  t.equal(a.reports.reports.get(b.memberId)?.isStuck, true);
  group.lead(c);
  await group.pass(2);
  t.equal(group.requests, 6, "a new leader is told anew");
  t.equal(a.reports.reports.size, 0, "and the old one forgets");
  t.ok(group.members.every(({ fault }) => fault === null));
});

t.test("a hand-over that fails leaves the leader with what it was told", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  for (const member of group.members) member.apply(7, "x");
  await group.pass(2);
  a.isTransferring = true;
  t.strictSame([...a.reports.reports.keys()], [b.memberId, c.memberId], "a write asks who could take over");
  await group.pass(2);
  a.isTransferring = false;
  await group.pass(2);
  t.strictSame([...a.reports.reports.keys()], [b.memberId, c.memberId]);
  t.equal(group.requests, 2, "for nobody tells twice what has been heard");
});

t.test("a follower that differs is put out of use, and whole again with another copy", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  a.apply(7, "x");
  c.apply(7, "x");
  b.apply(7, "y");
  await group.pass(4);
  t.strictSame([a.fault, b.fault, c.fault], [null, "diverged", null]);
  t.ok(b.lines.some((line) => line.includes("differ")));
  b.install(6, "w");
  a.apply(8, "z");
  c.apply(8, "z");
  b.apply(8, "z");
  await group.pass(4);
  t.strictSame([a.fault, b.fault, c.fault], [null, null, null]);
});

t.test("a verdict over a copy that was replaced meanwhile is not taken for the fresh one's", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  a.apply(7, "x");
  c.apply(7, "x");
  b.apply(7, "y");
  const { network } = group;
  let replaced = 0;
  network.alterAnswer = (method, body) => {
    if (method === "replica/report" && decodeVerdict(body) === "differs") {
      replaced += 1;
      b.install(7, "x");
    }
    return body;
  };
  await group.pass(6);
  t.strictSame([a.fault, b.fault, c.fault], [null, null, null]);
  t.equal(replaced, 1, "the fresh copy was judged anew, and is the same");
});

t.test("who was told that it differs has no say until it has told of its fresh copy", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  a.apply(6, "o");
  c.apply(6, "o");
  b.apply(6, "x");
  for (let round = 0; round < 20 && b.fault === null; round++) await group.pass(0.25);
  t.strictSame([a.fault, b.fault, c.fault], [null, "diverged", null]);
  b.install(6, "o");
  group.network.cut("b".repeat(32), "a".repeat(32));
  a.apply(7, "y");
  b.apply(7, "z");
  c.apply(7, "z");
  await group.pass(3);
  t.strictSame([a.fault, b.fault, c.fault], [null, null, null], "b may be with c");
  group.network.heal();
  await group.pass(4);
  t.strictSame([a.fault, b.fault, c.fault], ["diverged", null, null]);
});

t.test("a leader whose copy is out of use judges nobody", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  a.apply(7, "x");
  b.apply(7, "y");
  a.fault = "diverged";
  a.active = [b.memberId];
  group.network.cut("c".repeat(32), "a".repeat(32));
  await group.pass(4);
  t.strictSame([b.fault, c.fault], [null, null], "its word would be the leader's, before it has handed over");
});

t.test("who is right does not show from what a voter told of an earlier entry", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  for (const member of group.members) member.apply(6, "o");
  await group.pass(2);
  a.apply(7, "x");
  b.apply(7, "y");
  await group.pass(2);
  t.strictSame([a.fault, b.fault, c.fault], [null, null, null]);
  c.apply(7, "y");
  await group.pass(2);
  t.strictSame([a.fault, b.fault, c.fault], ["diverged", null, null]);
});

t.test("who is right waits for a voter that has not told yet", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  a.apply(7, "x");
  b.apply(7, "y");
  group.network.cut("c".repeat(32), "a".repeat(32));
  await group.pass(4);
  t.strictSame([a.fault, b.fault], [null, null]);
  c.apply(7, "y");
  group.network.heal();
  await group.pass(4);
  t.strictSame([a.fault, b.fault, c.fault], ["diverged", null, null], "here it is the leader");
});

t.test("who is right is not waited for without end: who tells nothing new takes nothing up", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  for (const member of group.members) member.apply(6, "o");
  await group.pass(2);
  // It answers, and its database does nothing any more.
  c.stalledMs = 60_000;
  a.apply(7, "x");
  b.apply(7, "y");
  await group.pass(8);
  t.strictSame([a.fault, b.fault, c.fault], [null, null, null]);
  t.strictSame(
    a.lines.filter((line) => line.includes("who is right is not known yet")).length,
    1,
    "it is told of at once, and once",
  );
  await group.pass(4);
  t.strictSame(
    [a.fault, b.fault, c.fault],
    [null, "diverged", null],
    "the leader's is what clients have seen",
  );
  c.apply(7, "x");
  b.install(7, "x");
  await group.pass(3);
  b.apply(8, "v");
  c.apply(8, "w");
  a.apply(8, "w");
  await group.pass(3);
  t.strictSame([a.fault, b.fault, c.fault], [null, "diverged", null]);
});

t.test("who was told that it differs does not side with one that tells of the same later", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  for (const member of [b, c]) member.leader = null;
  const toldBy = (member: string, sentMs: number, state: string, copySinceMs = 0): MemberReport => {
    const digests = [{ index: 7, hash: Buffer.from(state) }];
    return { ...REPORT, member, sentMs, copySinceMs, digests };
  };
  const verdict = async (letter: string, report: MemberReport) =>
    decodeVerdict(await group.tell(letter, report));
  a.apply(7, "x");
  a.active = [a.memberId, b.memberId];
  t.equal(await verdict("b", toldBy(b.memberId, 1, "y")), "differs");
  a.active = [a.memberId, b.memberId, c.memberId];
  t.equal(await verdict("c", toldBy(c.memberId, 1, "y")), "unknown");
  t.equal(a.fault, null, "b is being given the leader's copy");
  t.equal(await verdict("b", toldBy(b.memberId, 2, "x", 1)), "same");
  t.equal(await verdict("c", toldBy(c.memberId, 2, "y")), "differs");
});

t.test("a fresh copy is told of, though it ends where the one before did", async (t) => {
  const group = new Group();
  const [, b, c] = group.members;
  for (const member of group.members) member.apply(7, "x");
  await group.pass(3);
  c.install(7, "x");
  b.install(7, "y");
  await group.pass(3);
  t.strictSame([b.fault, c.fault], ["diverged", null]);
});

t.test("a leader against a majority puts its own copy out of use, and one of them leads", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  a.apply(7, "x");
  b.apply(7, "y");
  c.apply(7, "y");
  await group.pass(4);
  t.strictSame([a.fault, b.fault, c.fault], ["diverged", null, null]);
  t.equal(a.successor, b.memberId);
  group.lead(b);
  await group.pass(4);
  t.strictSame([b.fault, c.fault], [null, null], "nobody else follows");
});

t.test("a report that comes too late changes nothing, of an earlier process neither", async (t) => {
  const group = new Group();
  const [a, b] = group.members;
  const known = () => a.reports.reports.get(b.memberId)?.disk;
  b.leader = null;
  const tell = (change: Partial<MemberReport>): Promise<Uint8Array> =>
    group.tell("b", { ...REPORT, member: b.memberId, ...change });
  await tell({ sentMs: 2, disk: "low" });
  t.equal(known(), "low");
  await tell({ sentMs: 1, disk: "critical" });
  t.equal(known(), "low");
  await tell({ sentMs: 3, disk: "ok" });
  t.equal(known(), "ok");
  await tell({ session: 2, sentMs: 1, disk: "critical" });
  t.equal(known(), "critical");
  await tell({ session: 1, sentMs: 4, disk: "low" });
  t.equal(known(), "critical", "of the process before");
  for (const member of group.members) member.reports.stop();
});

t.test("a report of another term is not taken for one of the present leadership", async (t) => {
  const group = new Group();
  const [a, b] = group.members;
  b.leader = null;
  a.term = 7;
  for (const term of [6, 8]) {
    const told = group.tell("b", { ...REPORT, member: b.memberId, term, disk: "low" });
    await t.rejects(told, { code: "not-leader" }, `term ${term}`);
  }
  t.equal(a.reports.reports.size, 0);
  await group.tell("b", { ...REPORT, member: b.memberId, term: 7, disk: "low" });
  t.equal(a.reports.reports.get(b.memberId)?.disk, "low");
});

t.test("a report that was on its way when its copy was condemned does not speak for it", async (t) => {
  const group = new Group();
  const [a, b, c] = group.members;
  for (const member of [b, c]) member.leader = null;
  const hash = (state: string): Uint8Array => Buffer.from(state);
  const told = { ...REPORT, member: b.memberId, digests: [{ index: 7, hash: hash("y") }] };
  a.apply(7, "x");
  await group.tell("c", { ...REPORT, member: c.memberId, digests: [{ index: 7, hash: hash("x") }] });
  t.equal(decodeVerdict(await group.tell("b", told)), "differs");
  a.apply(9, "w");
  const digests = [...told.digests, { index: 9, hash: hash("v") }];
  t.equal(decodeVerdict(await group.tell("b", { ...told, sentMs: 2, digests })), "differs");
  const later = { ...REPORT, member: c.memberId, sentMs: 2, digests: [{ index: 9, hash: hash("v") }] };
  await group.tell("c", later);
  t.equal(a.fault, null, "b's old copy does not side with c's");
  const fresh = { ...told, sentMs: 3, copySinceMs: 1, digests: [{ index: 9, hash: hash("v") }] };
  await group.tell("b", fresh);
  t.equal(a.fault, "diverged", "its fresh one does");
});

t.test("a report is for oneself", async (t) => {
  const group = new Group();
  const [a, b] = group.members;
  const send = (from: string, member: string): Promise<Uint8Array> => group.send(from, { ...REPORT, member });
  for (const [from, member] of [
    ["c".repeat(32), b.memberId],
    ["d".repeat(32), idOf("d")],
  ] as const) {
    const refused = t.rejects(send(from, member), { code: "not-a-member" });
    await group.pass(0.5);
    await refused;
  }
  t.notOk(a.reports.reports.has(idOf("d")));
  for (const member of group.members) member.reports.stop();
  t.equal(group.clock.timers, 0);
});

t.test("reports and verdicts survive the wire, and nothing else does", async (t) => {
  const report = {
    member: idOf("a"),
    ...{ term: 7, session: 3, sentMs: 12, copySinceMs: 5 },
    disk: "critical",
    isStuck: true,
    digests: [{ index: 3, hash: Buffer.from([1, 2]) }],
  } as const;
  t.strictSame(decodeReport(encodeReport(report)), report);
  for (const verdict of ["same", "differs", "unknown"] as const)
    t.equal(decodeVerdict(encodeVerdict(verdict)), verdict);
  for (const wire of [
    [],
    ["m", 1, 1, 1, 1, "ok", false],
    ["m", 1, 1, 1, 1, "full", false, []],
    [7, 1, 1, 1, 1, "ok", false, []],
    ["m", -1, 1, 1, 1, "ok", false, []],
    ["m", 1, "p", 1, 1, "ok", false, []],
    ["m", 1, 1, 0.5, 1, "ok", false, []],
    ["m", 1, 1, 1, null, "ok", false, []],
    ["m", 1, 1, 1, 1, "ok", 0, []],
    ["m", 1, 1, 1, 1, "ok", false, [[1]]],
    ["m", 1, 1, 1, 1, "ok", false, [[-1, new Uint8Array(0)]]],
    ["m", 1, 1, 1, 1, "ok", false, [[1, new Uint8Array(65)]]],
    ["m", 1, 1, 1, 1, "ok", false, Array.from({ length: 65 }, () => [1, new Uint8Array(1)])],
  ]) {
    t.throws(() => decodeReport(encodeCbor(wire)), { code: "malformed-datagram" }, JSON.stringify(wire));
  }
  decodeReport(encodeCbor(["m", 1, 1, 1, 1, "ok", false, []]));
  t.throws(() => decodeVerdict(encodeCbor(["maybe"])), { code: "malformed-datagram" });
});
