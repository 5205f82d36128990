import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Test, t } from "tap";
import { Bus } from "../../agent/bus/bus.ts";
import { NodeStorage } from "../../agent/cli/node-storage.ts";
import { DataDirectory } from "../../agent/membership/data-directory.ts";
import { type Damage, openSoundStorage } from "../../agent/membership/open-storage.ts";
import { answerReturners } from "../../agent/membership/rejoin.ts";
import { systemClock as clock } from "../../agent/platform/clock.ts";
import { systemRandom as random } from "../../agent/platform/random.ts";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { foundCluster } from "../../agent/replica/found-cluster.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import { until } from "../cluster/until.ts";

const LEADER = "a".repeat(32);
const logger = { log: () => undefined };
const BASE = { index: 1, term: 1 };
const HARD_STATE = { term: 1, vote: null, commit: 2 };
const LAST = { kind: "noop", index: 2, term: 1 } as const;

async function openBus(t: Test, nodeId: string, seeds: readonly Bus[] = []): Promise<Bus> {
  const bus = await Bus.open({
    ...{ cluster: "storage", nodeId, session: 1, listen: { host: "127.0.0.1", port: 0 } },
    seeds: seeds.map((seed) => seed.brokerUrl ?? ""),
    ...{ clock, random, logger },
  });
  t.teardown(() => bus.close());
  return bus;
}

/** A member of a cluster of three that does not run. Its log begins behind the first entry, if that `isCompacted`. */
async function newMember(t: Test, { isCompacted }: { readonly isCompacted: boolean }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "trivet-test-"));
  t.teardown(() => rm(path, { recursive: true }));
  const data = await DataDirectory.open(path, random, clock);
  const storage = new NodeStorage({ data, logger, clock });
  const { log, store } = await storage.open();
  const voters = [memberIdOf(LEADER, "00000001"), data.memberId, memberIdOf("b".repeat(32), "00000001")];
  await foundCluster(log, voters);
  await log.append({ hardState: HARD_STATE, entries: [LAST] });
  await store.apply([
    { ...BASE, command: null },
    { index: LAST.index, term: LAST.term, command: null },
  ]);
  await store.checkpoint();
  if (isCompacted) await log.compact(BASE);
  await data.joinCluster("one", true);
  await storage.close();
  await data.close();
  return path;
}

/** The files of a data directory that stay the same from start to start, with what is in them. */
async function contentOf(path: string): Promise<Readonly<Record<string, string>>> {
  const content: Record<string, string> = {};
  for (const name of ["app.db", "state.db"])
    content[name] = (await readFile(join(path, name))).toString("hex");
  return content;
}

const spoil = (path: string): Promise<void> => writeFile(join(path, "app.db"), Buffer.alloc(8_192, 7));

/** Opens the storage of the member with a leader in sight that vouches for a quorum once it is told to. */
async function reopen(t: Test, path: string) {
  const data = await DataDirectory.open(path, random, clock);
  t.teardown(() => data.close());
  const leader = await openBus(t, LEADER);
  const bus = await openBus(t, data.identity.nodeId, [leader]);
  const raft = { term: 1, commit: 2, leader: LEADER };
  const known = { version: "1", clusterId: "one", api: null, broker: leader.brokerUrl, role: "voter" };
  leader.announce({ ...known, name: "leader", memberId: "", raft });
  const state: { hasQuorum: boolean; damage: Damage | null } = { hasQuorum: false, damage: null };
  answerReturners(leader, {
    clusterId: "one",
    isLeader: () => true,
    members: () => ({ voters: [memberIdOf(LEADER, "00000001"), data.memberId], outgoing: [], learners: [] }),
    confirmQuorum: async () => {
      if (!state.hasQuorum) throw new TrivetError("no-quorum", "no quorum of the others");
    },
    changeMembers: async () => {
      t.fail("the member stays who it is");
    },
  });
  const storage = new NodeStorage({ data, logger, clock });
  const stop = new AbortController();
  const opening = openSoundStorage({
    open: () => storage.open(),
    ...{ data, bus, clock, random, logger, signal: stop.signal },
    onDamage: (damage) => {
      state.damage = damage;
    },
  });
  opening.catch(() => undefined);
  t.teardown(() => stop.abort(new Error("the test is over")));
  t.teardown(() => storage.close());
  return { data, opening, state };
}

t.test("damaged databases stay where they are until a quorum of others holds the data", async (t) => {
  const path = await newMember(t, { isCompacted: true });
  await spoil(path);
  const before = await contentOf(path);
  const { data, opening, state } = await reopen(t, path);
  const { memberId } = data;
  await until("it is told why it waits", 20_000, async () => {
    return state.damage?.waitsFor.includes("no quorum of the others") === true ? true : null;
  });
  t.match(state.damage?.error, { code: "store-damaged" });
  t.strictSame(await contentOf(path), before, "it may be the last copy");
  t.notOk((await readdir(path)).includes("quarantine"));

  state.hasQuorum = true;
  const { store, recovered } = await opening;
  t.equal(state.damage, null);
  t.equal(data.memberId, memberId, "its log has kept what it promised");
  t.strictSame(recovered.base, BASE);
  t.equal(store.applied.index, 0, "what the log does not hold is to be fetched");
  const [slot = ""] = await readdir(join(path, "quarantine"));
  t.strictSame(await contentOf(join(path, "quarantine", slot)), before, "what was damaged is kept");
});

t.test("a log that is damaged as well, and found so later, makes another member of the node", async (t) => {
  const path = await newMember(t, { isCompacted: true });
  await spoil(path);
  const { data, opening, state } = await reopen(t, path);
  const { memberId } = data;
  await until("it waits", 20_000, async () => (state.damage === null ? null : true));
  for (const name of await readdir(join(path, "raft"))) await writeFile(join(path, "raft", name), "short");
  state.hasQuorum = true;
  const { recovered } = await opening;
  t.equal(state.damage, null);
  t.not(data.memberId, memberId, "what it promised may be lost");
  t.strictSame(recovered.entries, []);
  t.equal((await readdir(join(path, "quarantine"))).length, 2);
});

t.test("damaged databases that the log makes anew need nobody's word", async (t) => {
  const path = await newMember(t, { isCompacted: false });
  await spoil(path);
  const { opening, state } = await reopen(t, path);
  const { store, recovered } = await opening;
  t.equal(state.damage, null);
  t.strictSame([store.applied.index, recovered.base.index, recovered.entries.length], [0, 0, 2]);
  t.equal((await readdir(join(path, "quarantine"))).length, 1);
});
