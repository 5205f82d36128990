import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Test, t } from "tap";
import { Bus } from "../../agent/bus/bus.ts";
import { exitCodeOf } from "../../agent/cli/exit-code.ts";
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
import { loseLastBatches } from "../log/lose-batches.ts";

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

/** A member that does not run, of a cluster of three. Its log begins behind the first entry, if that `isCompacted`. */
async function newMember(
  t: Test,
  { isCompacted, isAlone = false }: { readonly isCompacted: boolean; readonly isAlone?: boolean },
): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "trivet-test-"));
  t.teardown(() => rm(path, { recursive: true }));
  const data = await DataDirectory.open(path, random, clock);
  const storage = new NodeStorage({ data, logger, clock });
  const { log, store } = await storage.open();
  const others = [memberIdOf(LEADER, "00000001"), memberIdOf("b".repeat(32), "00000001")];
  await foundCluster(log, isAlone ? [data.memberId] : [data.memberId, ...others]);
  await log.append({ hardState: HARD_STATE, entries: [LAST] });
  await store.apply([
    { ...BASE, command: null },
    { index: LAST.index, term: LAST.term, command: null },
  ]);
  await store.checkpoint();
  if (isCompacted) await log.compact(BASE);
  await data.joinCluster("one", !isAlone);
  await storage.close();
  await data.close();
  return path;
}

/** The files of the log, with what is in them. */
async function logOf(path: string): Promise<Readonly<Record<string, string>>> {
  const content: Record<string, string> = {};
  for (const name of await readdir(join(path, "raft")))
    content[name] = (await readFile(join(path, "raft", name))).toString("hex");
  return content;
}

/** The last entry, and that the log was closed in good order: then its end is as a crash may leave it. */
const loseLastEntry = (path: string): Promise<void> => loseLastBatches(join(path, "raft"), 2);

/** The files of a data directory that stay the same from start to start, with what is in them. */
async function contentOf(path: string): Promise<Readonly<Record<string, string>>> {
  const content: Record<string, string> = {};
  for (const name of ["app.db", "state.db"])
    content[name] = (await readFile(join(path, name))).toString("hex");
  return content;
}

const spoil = (path: string): Promise<void> => writeFile(join(path, "app.db"), Buffer.alloc(8_192, 7));

/** The node's storage, and nobody in sight. */
async function open(path: string) {
  const data = await DataDirectory.open(path, random, clock);
  const storage = new NodeStorage({ data, logger, clock });
  const close = async (): Promise<void> => {
    await storage.close();
    await data.close();
  };
  return { data, storage, close };
}

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
    leadsIn: () => true,
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

t.test("damaged databases that alone could tell of a lost end make another member of the node", async (t) => {
  for (const isCompacted of [true, false]) {
    const path = await newMember(t, { isCompacted });
    await loseLastEntry(path);
    await spoil(path);
    const before = await logOf(path);
    const { data, opening, state } = await reopen(t, path);
    const { memberId } = data;
    await until("it is told why it waits", 20_000, async () => {
      return state.damage?.waitsFor.includes("no quorum of the others") === true ? true : null;
    });
    t.match(state.damage?.error, { code: "log-unproven", message: /not closed in good order/ });
    t.strictSame(await logOf(path), before);

    state.hasQuorum = true;
    const { recovered } = await opening;
    t.not(data.memberId, memberId, "what it promised may be lost");
    t.strictSame(recovered.entries, []);
  }
});

t.test("a node that is alone makes damaged databases anew from what its log has", async (t) => {
  const path = await newMember(t, { isCompacted: false, isAlone: true });
  await loseLastBatches(join(path, "raft"), 1);
  await spoil(path);
  const { storage, close } = await open(path);
  t.teardown(close);
  const { store, recovered } = await storage.open();
  t.strictSame([store.applied.index, recovered.entries.length], [0, 2]);
});

t.test("a log that has lost its end, as the databases tell, makes another member of the node", async (t) => {
  const path = await newMember(t, { isCompacted: false });
  await loseLastEntry(path);
  const before = await logOf(path);
  const { data, opening, state } = await reopen(t, path);
  const { memberId } = data;
  await until("it is told why it waits", 20_000, async () => {
    return state.damage?.waitsFor.includes("no quorum of the others") === true ? true : null;
  });
  t.match(state.damage?.error, { code: "log-behind-store", message: /applied entry 2 .* ends at 1/ });
  t.strictSame(await logOf(path), before, "what passes for torn is not cut: it may be the last copy");
  t.notOk((await readdir(path)).includes("quarantine"));

  state.hasQuorum = true;
  const { store, recovered } = await opening;
  t.equal(state.damage, null);
  t.not(data.memberId, memberId, "what it promised may be lost");
  t.strictSame([recovered.entries.length, store.newest.index], [0, 0]);
  const [slot = ""] = await readdir(join(path, "quarantine"));
  t.strictSame(await logOf(join(path, "quarantine", slot)), before, "what was damaged is kept");
});

t.test("a batch that is damaged and passes for torn is not cut while databases have its entry", async (t) => {
  const path = await newMember(t, { isCompacted: false });
  await loseLastBatches(join(path, "raft"), 1);
  const [name = ""] = await readdir(join(path, "raft"));
  const log = await readFile(join(path, "raft", name));
  const last = log.findLastIndex((byte) => byte !== 0);
  log.writeUInt8(log.readUInt8(last) ^ 1, last);
  await writeFile(join(path, "raft", name), log);
  const before = await logOf(path);
  for (let start = 1; start <= 2; start++) {
    const { storage, close } = await open(path);
    await t.rejects(storage.open(), { code: "log-behind-store" }, `start ${start}`);
    await close();
    t.strictSame(await logOf(path), before);
  }
});

t.test("a node that is alone in its cluster, and whose log has lost its end, needs a person", async (t) => {
  const path = await newMember(t, { isCompacted: false, isAlone: true });
  await loseLastEntry(path);
  const before = await logOf(path);
  const { opening } = await reopen(t, path);
  const error = await opening.then(
    () => t.fail("it opens"),
    (reason: unknown) => reason,
  );
  t.match(error, { code: "log-behind-store" });
  t.equal(exitCodeOf(error), 78);
  t.strictSame(await logOf(path), before, "it is the last copy");
});

t.test("databases of another directory, next to a node without a cluster, need a person", async (t) => {
  const path = await mkdtemp(join(tmpdir(), "trivet-test-"));
  t.teardown(() => rm(path, { recursive: true }));
  const source = await newMember(t, { isCompacted: false });
  for (const name of ["app.db", "state.db"]) await copyFile(join(source, name), join(path, name));
  const { storage, close } = await open(path);
  t.teardown(close);
  await t.rejects(storage.open(), { code: "log-behind-store", message: /the log is empty/ });
});
