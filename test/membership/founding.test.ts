import { EventEmitter, once } from "node:events";
import { type Test, t } from "tap";
import { Bus } from "../../agent/bus/bus.ts";
import { answerNewcomers, type Founded, foundOrJoin } from "../../agent/membership/founding.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import { systemRandom } from "../../agent/platform/random.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";

const DEADLINE_MS = 20_000;

/** A newcomer on a real bus. */
class Newcomer {
  readonly bus: Bus;
  readonly nodeId: string;
  readonly memberId: string;
  readonly #told = new EventEmitter();
  /** What was told, with its level. */
  readonly #messages = new Map<string, string>();
  /** As its process before this one left it. */
  promisedTo: string | null = null;
  readonly #stop = new AbortController();

  private constructor(bus: Bus, letter: string) {
    this.bus = bus;
    this.nodeId = letter.repeat(32);
    this.memberId = memberIdOf(this.nodeId, "00000001");
    this.announce(null);
  }

  static async open(t: Test, letter: string, seeds: readonly Newcomer[]): Promise<Newcomer> {
    const bus = await Bus.open({
      cluster: "founding",
      nodeId: letter.repeat(32),
      session: 1,
      listen: { host: "127.0.0.1", port: 0 },
      seeds: seeds.map((seed) => seed.bus.brokerUrl ?? ""),
      clock: systemClock,
      random: systemRandom,
      logger: { log: () => undefined },
    });
    const newcomer = new Newcomer(bus, letter);
    t.teardown(() => newcomer.close());
    return newcomer;
  }

  announce(clusterId: string | null): void {
    const { memberId, nodeId, bus } = this;
    const raft = { term: 0, commit: 0, leader: null };
    const known = { version: "1", memberId, clusterId, api: null, broker: bus.brokerUrl, role: "spare" };
    bus.announce({ ...known, name: nodeId.slice(0, 1), raft });
  }

  /** Resolves with how it came to a cluster. */
  found(expect: number): Promise<Founded> {
    const { bus, nodeId, memberId } = this;
    const log = (level: string, message: string): void => {
      this.#messages.set(message, level);
      this.#told.emit(message);
    };
    const logger = { log };
    const { signal } = this.#stop;
    const promises = { promisedTo: this.promisedTo, promiseTo: async () => undefined };
    return foundOrJoin({
      bus,
      nodeId,
      memberId,
      promises,
      expect,
      discoveryMs: 0,
      clock: systemClock,
      logger,
      signal,
    });
  }

  /** Resolves with the level at which it was told last. */
  async untilTold(message: string): Promise<string | undefined> {
    if (!this.#messages.has(message)) {
      await once(this.#told, message, { signal: AbortSignal.timeout(DEADLINE_MS) });
    }
    return this.#messages.get(message);
  }

  async untilUp(others: readonly Newcomer[]): Promise<void> {
    const isThere = (): boolean => others.every(({ nodeId }) => this.bus.peers().get(nodeId)?.up === true);
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (isThere()) resolve();
      };
      this.bus.onPeer(look);
      look();
    });
  }

  close(): Promise<void> {
    this.#stop.abort();
    return this.bus.close();
  }
}

t.test(
  "foundOrJoin(): the lowest of N founds a cluster that names all, the others are invited",
  async (t) => {
    const a = await Newcomer.open(t, "a", []);
    const b = await Newcomer.open(t, "b", [a]);
    const c = await Newcomer.open(t, "c", [a]);
    const invited = [b, c].map((newcomer) => newcomer.found(3));
    const founded = await a.found(3);
    t.match(founded, { kind: "founder", voters: [a.memberId, b.memberId, c.memberId], endMs: Number });
    const voters = founded.kind === "founder" ? founded.voters : [];
    answerNewcomers(a.bus, { id: "one", isMember: (memberId) => voters.includes(memberId) });
    a.announce("one");
    for (const way of invited) t.strictSame(await way, { kind: "invited", clusterId: "one" });
  },
);

t.test("foundOrJoin(): a node that one founder has named is not named by another", async (t) => {
  const b = await Newcomer.open(t, "b", []);
  const c = await Newcomer.open(t, "c", [b]);
  const d = await Newcomer.open(t, "d", [b]);
  const waiting = [c, d].map((newcomer) => newcomer.found(3));
  t.match(await b.found(3), { kind: "founder", voters: [b.memberId, c.memberId, d.memberId] });
  // The lowest of all comes while the founder has not told anyone yet: its disk is slow.
  const a = await Newcomer.open(t, "a", [b, c, d]);
  await a.untilUp([b, c, d]);
  const late = a.found(3);
  await a.untilTold("The cluster cannot be founded yet.");
  answerNewcomers(b.bus, { id: "two", isMember: (memberId) => memberId !== a.memberId });
  b.announce("two");
  for (const way of waiting) t.strictSame(await way, { kind: "invited", clusterId: "two" });
  await a.untilTold("A cluster is here, but this node is not part of it yet.");
  const ended = t.rejects(late, { code: "stopping" });
  await a.close();
  await ended;
});

t.test("foundOrJoin(): a node that is only remembered is not named", async (t) => {
  const a = await Newcomer.open(t, "a", []);
  const b = await Newcomer.open(t, "b", [a]);
  const c = await Newcomer.open(t, "c", [a]);
  // It is there, as its presence says, but answers nobody: its agent is not looking for a cluster.
  await a.untilUp([b, c]);
  const invited = b.found(3);
  const founding = a.found(3);
  t.equal(await a.untilTold("The cluster cannot be founded yet."), "info", "as any agent that starts");
  const others = Promise.allSettled([invited, c.found(3)]);
  t.match(await founding, { kind: "founder", voters: [a.memberId, b.memberId, c.memberId] });
  await Promise.all([b.close(), c.close(), others]);
});

t.test("foundOrJoin(): a promise holds over a restart", async (t) => {
  const a = await Newcomer.open(t, "a", []);
  const b = await Newcomer.open(t, "b", [a]);
  b.promisedTo = "c".repeat(32);
  await a.untilUp([b]);
  const others = Promise.allSettled([b.found(2), a.found(2)]);
  t.equal(await a.untilTold("The cluster cannot be founded yet."), "warn");
  await Promise.all([a.close(), b.close(), others]);
  for (const each of await others) t.match(each, { status: "rejected", reason: { code: "stopping" } });
});
