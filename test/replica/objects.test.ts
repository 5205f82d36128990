import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { ObjectChangesReader } from "../../agent/replica/object-changes.ts";
import { ObjectFeed } from "../../agent/replica/object-feed.ts";
import type { ObjectChange, ObjectFilter } from "../../agent/replica/objects-service.ts";
import { stopping } from "../../agent/replica/sql-errors.ts";
import type { ObjectEvent, ObjectKey, ObjectWrite } from "../../agent/store/objects.ts";
import { until } from "../cluster/until.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { type ServiceNode, ServiceTrio } from "./service-trio.ts";

const trio = await ServiceTrio.start(t);
const timeoutMs = 10_000;
const READ = { level: "linearizable", timeoutMs } as const;

function key(name: string, kind = "note"): ObjectKey {
  return { kind, namespace: "", name };
}

function put(name: string, text: string, revision: number | null = null, kind = "note"): ObjectWrite {
  return { kind: "put", key: key(name, kind), body: Buffer.from(text), revision };
}

async function write({ objects }: ServiceNode, ...writes: readonly ObjectWrite[]): Promise<number> {
  return (await objects.write(writes, { timeoutMs })).revision;
}

interface Watching {
  readonly from?: number;
  readonly kind?: string;
  /** Called before the watch is asked for more. */
  readonly onChange?: (change: ObjectChange) => Promise<void>;
}

/** What a watch tells of, and where it is when there is nothing, page after page, as a client sees it. */
async function* follow(
  { objects }: ServiceNode,
  options: { readonly from?: number; readonly filter?: ObjectFilter; readonly signal: AbortSignal },
): AsyncGenerator<ObjectChange, void, undefined> {
  const { from, filter = {}, signal } = options;
  let after = await objects.watchFrom({ timeoutMs, ...(from === undefined ? {} : { from }) });
  for (let waitMs = 0; !signal.aborted; waitMs = timeoutMs) {
    const { changes, revision } = await objects.changes({ after, filter, waitMs, signal });
    if (changes.length === 0 && !signal.aborted) yield { revision, events: [] };
    for (const change of changes) {
      yield change;
      if (signal.aborted) return;
    }
    after = revision;
  }
}

/** Collects the bodies that a watch tells of, in order, up to the one that reads `last`. */
async function watchUntil(
  node: ServiceNode,
  last: string,
  options: Watching = {},
): Promise<readonly string[]> {
  const { from, kind, onChange } = options;
  const abort = new AbortController();
  const seen: string[] = [];
  const filter = kind === undefined ? {} : { kind };
  const watch = { filter, signal: abort.signal, ...(from === undefined ? {} : { from }) };
  for await (const change of follow(node, watch)) {
    // Or else a watcher that resumes from here would miss or repeat some of them.
    if (change.events.some(({ revision }) => revision !== change.revision))
      throw new Error("entries are mixed");
    seen.push(...texts(change));
    if (seen.includes(last)) abort.abort();
    await onChange?.(change);
  }
  return seen;
}

function texts({ events }: ObjectChange): readonly string[] {
  return events.flatMap((event) => (event.type === "put" ? Buffer.from(event.object.body).toString() : []));
}

t.test("ClusterObjects: any node writes, and every other reads what was acknowledged", async (t) => {
  const revision = await write(trio.get(1), put("a", "one"), put("b", "two"));
  const { object } = await trio.get(2).objects.get(key("a"), READ);
  t.match(object, { name: "a", revision, createdRevision: revision });
  t.equal(Buffer.from(object?.body ?? []).toString(), "one");
  const second = await write(trio.get(2), put("a", "three", revision));
  const changed = await trio.get(0).objects.get(key("a"), READ);
  t.match(changed.object, { uid: object?.uid, revision: second, createdRevision: revision });
  const { objects, isComplete } = await trio.get(1).objects.list({ kind: "note", limit: 10, ...READ });
  t.strictSame([objects.map(({ name }) => name), isComplete], [["a", "b"], true]);
  await write(trio.get(0), { kind: "delete", key: key("a"), revision: second });
  t.equal((await trio.get(1).objects.get(key("a"), READ)).object, null);
});

t.test("ClusterObjects.write() is refused as a whole when one precondition does not hold", async (t) => {
  const revision = await write(trio.get(0), put("a", "one"));
  await t.rejects(write(trio.get(1), put("never", "two"), put("a", "no", revision - 1)), {
    code: "conflict",
  });
  await t.rejects(write(trio.get(1), put("never", "two"), put("a", "no", 0)), { code: "conflict" });
  t.equal((await trio.get(1).objects.get(key("never"), READ)).object, null);
  await t.rejects(write(trio.get(1), put("", "no name")), { code: "invalid-object" });
  const raced = ["x", "y", "z"].map((text, nth) => write(trio.get(nth), put("a", text, revision)));
  const outcomes = await Promise.allSettled(raced);
  t.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1, "one of three racers wins");
});

t.test("ClusterObjects.write() of a session applies once, though its answer got lost", async (t) => {
  const id = await trio.get(1).sql.openSession({ timeoutMs });
  trio.answersToLose = 1;
  const options = { timeoutMs, session: { id, sequence: 1 } };
  const { revision, uids } = await trio.get(1).objects.write([put("once", "one", 0)], options);
  t.strictSame(await trio.get(2).objects.write([put("once", "one", 0)], options), { revision, uids });
  t.equal((await trio.get(0).objects.get(key("once"), READ)).object?.revision, revision);
});

t.test(
  "ClusterObjects.changes() have no gap and no double between history and what happens now",
  async (t) => {
    const written: { readonly text: string; readonly revision: number }[] = [];
    const watches: { readonly from: number; readonly seen: Promise<readonly string[]> }[] = [];
    const last = "29 2";
    // Watches begin from every place, on every node, while more is written: three entries at once, that are applied together.
    for (let nth = 0; nth < 30; nth++) {
      const texts = ["0", "1"].concat(nth === 29 ? [] : ["2"]).map((part) => `${nth} ${part}`);
      const revisions = await Promise.all(texts.map((text) => write(trio.get(0), put(`n${text}`, text))));
      written.push(...texts.map((text, at) => ({ text, revision: revisions[at] ?? 0 })));
      for (const from of nth < 10 ? [] : written.slice(-30, -27).map(({ revision }) => revision)) {
        watches.push({ from, seen: watchUntil(trio.get(watches.length % 3), last, { from }) });
      }
    }
    written.push({ text: last, revision: await write(trio.get(0), put("last", last)) });
    written.sort((a, b) => a.revision - b.revision);
    for (const { from, seen } of watches) {
      const expected = written.filter(({ revision }) => revision > from).map(({ text }) => text);
      t.strictSame(await seen, expected, `from ${from}`);
    }
  },
);

t.test("ClusterObjects.changes() tell at once how far they are, and show an entry as a whole", async (t) => {
  const memo = (name: string, text: string): ObjectWrite => put(name, text, null, "memo");
  const task = put("a", "other", null, "task");
  const revision = await write(trio.get(0), memo("a", "one"), memo("b", "two"), task);
  const changes: ObjectChange[] = [];
  const seen = watchUntil(trio.get(0), "last", {
    kind: "memo",
    onChange: async (change) => {
      changes.push(change);
      if (changes.length === 1) await write(trio.get(0), task, memo("a", "last"));
    },
  });
  t.strictSame(await seen, ["last"], "without from, what comes now; other kinds are left out");
  t.match(changes[0], { revision, events: [] });
  const first = await watchUntil(trio.get(0), "two", { from: 0, kind: "memo" });
  t.strictSame(first, ["one", "two"]);
});

t.test("ClusterObjects.changes() of a consumer that stalls go on from the history", async (t) => {
  const abort = new AbortController();
  const changes = follow(trio.get(0), { signal: abort.signal });
  await changes.next();
  // More than the feed keeps: 128 writes in an entry is the most there may be.
  const names = Array.from({ length: 128 }, (_, nth) => `n${nth}`);
  const entries = Array.from({ length: 12 }, (_, nth) => `${nth}`);
  for (const text of entries) await write(trio.get(0), ...names.map((name) => put(name, text)));
  const expected = entries.flatMap((text) => names.map(() => text));
  const seen: string[] = [];
  while (seen.length < expected.length) {
    const { value } = await changes.next();
    if (value) seen.push(...texts(value));
  }
  t.strictSame(seen, expected);
  const waiting = changes.next();
  abort.abort();
  t.equal((await waiting).done, true, "and its signal ends it");
});

t.test("a watch from a revision that the cluster has not reached is refused, by every node", async (t) => {
  const revision = await write(trio.get(0), put("a", "now"));
  for (const { objects } of trio.nodes) {
    t.equal(await objects.watchFrom({ from: revision, timeoutMs }), revision);
    await t.rejects(objects.watchFrom({ from: 99_999_999, timeoutMs }), { code: "revision-unknown" });
  }
});

t.test("a watch from a revision that only its node has not reached waits for it", async (t) => {
  const leader = trio.nodes.find(({ replica }) => replica.leadership.isLeader) ?? trio.get(0);
  const behind = trio.follower();
  const { nodeId, objects } = behind;
  const before = await write(leader, put("a", "before"));
  await objects.get(key("a"), READ);
  for (const other of trio.nodes) trio.network.cut(other.nodeId, nodeId);
  const revision = await write(leader, put("a", "after"));
  t.ok(behind.replica.status().appliedIndex < revision);
  // What it tells is what it has, whatever the client hopes for.
  const { signal } = new AbortController();
  const told = await objects.changes({ after: before, filter: {}, waitMs: 0, signal });
  t.match(told, { changes: [], revision: before });
  await t.rejects(objects.watchFrom({ from: revision, timeoutMs: 100 }), { code: /^(timeout|no-leader)$/ });
  const waiting = objects.watchFrom({ from: revision, timeoutMs });
  trio.network.heal();
  t.equal(await waiting, revision);
  t.ok(behind.replica.status().appliedIndex >= revision);
});

t.test("pages of changes are small, from the feed and from the history", async (t) => {
  const body = "x".repeat(30 * 1024);
  const first = await write(trio.get(0), put("p0", body));
  for (let nth = 1; nth < 8; nth++) await write(trio.get(0), put(`p${nth}`, body));
  const { objects } = trio.get(0);
  const { signal } = new AbortController();
  // With time to wait it is the feed that is asked, and without any the history.
  for (const waitMs of [timeoutMs, 0]) {
    const pages: number[] = [];
    for (let after = first - 1, seen = 0; seen < 8; ) {
      const { changes, revision } = await objects.changes({ after, filter: {}, waitMs, signal });
      pages.push(changes.length);
      seen += changes.length;
      after = revision;
    }
    t.strictSame(pages, [3, 3, 2], "64 KiB beyond the first entry");
  }
});

t.test("a watch has no gap where a snapshot takes the place of the node's copy", async (t) => {
  const node = trio.nodes.find(({ replica }) => !replica.leadership.isLeader) ?? trio.get(0);
  const from = await write(node, put("copy", "before"));
  let tell = (): void => undefined;
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const seen = watchUntil(node, "after", { from, onChange: async () => tell() });
  await told;
  // Now it waits for what comes next.
  await new Promise((resolve) => setImmediate(resolve));
  const installed = new Promise<void>((resolve) => node.replica.onInstalled(resolve));
  node.replica.copy.quarantine("diverged");
  const read = node.objects.get(key("copy"), { level: "none", timeoutMs });
  await t.rejects(read, { code: "not-serving" }, "not even what may be of any age");
  await t.rejects(watchUntil(node, "after", { from }), { code: "not-serving" });
  const other = trio.nodes.find((each) => each !== node) ?? trio.get(0);
  await write(other, put("copy", "meanwhile"));
  await installed;
  await write(other, put("copy", "after"));
  t.strictSame(await seen, ["meanwhile", "after"]);
});

t.test(
  "ClusterObjects.changes() from before the history say where to begin, and stop() ends all",
  async (t) => {
    const first = await write(trio.get(0), put("a", "one"));
    const second = await write(trio.get(0), put("a", "two"));
    await write(trio.get(0), { kind: "compact", revision: first });
    await t.rejects(watchUntil(trio.get(0), "two", { from: 0 }), {
      code: "revision-compacted",
      oldest: first,
    });
    t.strictSame(await watchUntil(trio.get(0), "two", { from: first }), ["two"]);
    const { objects } = trio.get(0);
    const { signal } = new AbortController();
    const changes = follow(trio.get(0), { from: second, signal });
    await changes.next();
    const waiting = changes.next();
    objects.stop();
    await t.rejects(waiting, { code: "stopping" });
  },
);

t.test(
  "a watch that waits for a busy store ends at once, with its watcher and with the member",
  async (t) => {
    const clock = new ManualClock();
    const feed = new ObjectFeed(
      {
        applied: { index: 9, term: 1 },
        newest: { index: 9, term: 1 },
        onObjectEvents: () => () => undefined,
      },
      clock,
    );
    const history = () => Promise.reject(new TrivetError("store-busy", "too much waits"));
    const reader = new ObjectChangesReader({
      feed,
      objects: { history },
      clock,
      assertServing: () => undefined,
    });
    const watcher = new AbortController();
    const follow = (signal: AbortSignal, waitMs = 60_000) =>
      reader.next({ after: 3, filter: {}, waitMs, signal });
    const none = await follow(watcher.signal, 0);
    t.strictSame(none, { changes: [], revision: 3 }, "who has no time does not wait");
    const left = follow(watcher.signal);
    const kept = follow(new AbortController().signal);
    const ended = t.rejects(kept, { code: "stopping" });
    await until("both wait", timeoutMs, async () => (clock.timers === 2 ? true : null));
    watcher.abort();
    t.strictSame(await left, { changes: [], revision: 3 });
    t.equal(clock.timers, 1);
    feed.stop(stopping());
    await ended;
    t.equal(clock.timers, 0);
  },
);

t.test("after() leaves to the history what a crash has left in one file only, and is applied again", (t) => {
  let tell = (_events: readonly ObjectEvent[]): void => undefined;
  const feed = new ObjectFeed(
    {
      applied: { index: 3, term: 1 },
      newest: { index: 5, term: 1 },
      onObjectEvents: (listener) => {
        tell = listener;
        return () => undefined;
      },
    },
    new ManualClock(),
  );
  const page = { limit: 10, bytesMax: 1000 };
  t.strictSame(feed.after(3, page), [], "nothing to read yet");
  const head = { kind: "thing", namespace: "", name: "a", uid: "u", createdRevision: 1 };
  // The change of 4 is compacted, so nothing was told of it.
  tell([{ revision: 6, type: "delete", object: { ...head, revision: 6 } }]);
  t.equal(feed.after(3, page), null);
  t.match(feed.after(5, page), [{ revision: 6 }]);
  t.end();
});
