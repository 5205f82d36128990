import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import {
  EVENT_BYTES,
  HISTORY_BYTES_MAX,
  HISTORY_EVENTS_MAX,
  OBJECT_BODY_BYTES_MAX,
  OBJECT_WRITES_MAX,
  OBJECTS_READ_BYTES_MAX,
} from "../../agent/store/limits.ts";
import type { ObjectEvent, ObjectKey, ObjectPrecondition, ObjectWrite } from "../../agent/store/objects.ts";
import type { CommandResult } from "../../agent/store/types.ts";
import { killWorker } from "./incidents.ts";
import { objectsEntry, PATIENT_MS, StoreNode } from "./store-node.ts";

// Some restarts start threads, which takes its time on a busy machine.
t.setTimeout(300_000);

const PATIENT = { timeoutMs: PATIENT_MS } as const;

function keyOf(name: string, namespace = "", kind = "role"): ObjectKey {
  return { kind, namespace, name };
}

function put(key: ObjectKey, text: string, revision: ObjectPrecondition = null): ObjectWrite {
  return { kind: "put", key, body: Buffer.from(text), revision };
}

function remove(key: ObjectKey, revision: ObjectPrecondition = null): ObjectWrite {
  return { kind: "delete", key, revision };
}

function write(node: StoreNode, ...writes: readonly ObjectWrite[]): Promise<CommandResult> {
  return node.applyNext((index) => objectsEntry(index, writes));
}

async function read(node: StoreNode, key: ObjectKey): Promise<string | null> {
  const { object } = await node.store.objects.get(key, PATIENT);
  return object === null ? null : Buffer.from(object.body).toString();
}

/** An event in short: `5 put a=text`, `6 delete a`. */
function inShort(event: ObjectEvent): string {
  const { revision, type, object } = event;
  return `${revision} ${type} ${object.name}${type === "put" ? `=${Buffer.from(event.object.body)}` : ""}`;
}

t.test("writes of objects", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());

  t.test("apply() of a put makes an object that get() reads back, with its revisions", async (t) => {
    const [made] = await write(node, put(keyOf("a"), "one"));
    t.match(made, { kind: "objects", revision: 1, uids: [/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/] });
    const [changed] = await write(node, put(keyOf("a"), "two"));
    t.same(changed, { ...made, revision: 2 }, "the uid stays");
    t.match(await node.store.objects.get(keyOf("a"), PATIENT), {
      revision: 2,
      object: { ...keyOf("a"), revision: 2, createdRevision: 1, body: Buffer.from("two") },
    });
    t.match(await node.store.objects.get(keyOf("missing"), PATIENT), { revision: 2, object: null });
  });

  t.test("apply() of a delete ends an object: the next of its name is another", async (t) => {
    const before = await node.store.objects.get(keyOf("a"), PATIENT);
    t.match(await write(node, remove(keyOf("a"))), [{ kind: "objects", uids: [] }]);
    t.equal(await read(node, keyOf("a")), null);
    const [made] = await write(node, put(keyOf("a"), "three"));
    t.not(made?.kind === "objects" && made.uids[0], before.object?.uid);
    const { object } = await node.store.objects.get(keyOf("a"), PATIENT);
    t.equal(object?.createdRevision, node.store.applied.index);
  });

  t.test("apply() keeps apart what differs in one part of the key", async (t) => {
    const keys = [keyOf("x", "n", "k"), keyOf("x", "m", "k"), keyOf("x", "n", "l"), keyOf("n", "x", "k")];
    const [made] = await write(node, ...keys.map((key, nth) => put(key, `${nth}`)));
    t.equal(new Set(made?.kind === "objects" ? made.uids : []).size, 4);
    t.same(await Promise.all(keys.map((key) => read(node, key))), ["0", "1", "2", "3"]);
  });

  t.test("apply() writes only where every precondition holds", async (t) => {
    const a = keyOf("a");
    const b = keyOf("b");
    const revision = (await node.store.objects.get(a, PATIENT)).object?.revision ?? 0;
    const conflicts: readonly (readonly [ObjectWrite[], RegExp])[] = [
      [[put(a, "no", revision - 1)], /was to have revision \d+ and has revision \d+/],
      [[put(a, "no", 0)], /was not to exist and has revision/],
      [[put(b, "no", 7)], /was to have revision 7 and does not exist/],
      [[remove(a, revision + 1)], /"a"/],
      [[put(b, "no"), { kind: "require", key: a, revision: 0 }], /was not to exist/],
      [[put(b, "no"), remove(a, 1)], /was to have revision 1 /],
      [[put(b, "no", "any")], /was to exist and does not exist/],
      [[remove(b, "any"), put(a, "no", "any")], /"b"/],
      [[put(a, "no"), { kind: "require", key: b, revision: "any" }], /"b"/],
    ];
    for (const [writes, message] of conflicts) {
      t.match(await write(node, ...writes), [{ kind: "error", code: "conflict", message }]);
    }
    t.same([await read(node, a), await read(node, b)], ["three", null], "nothing of them");
    const held = await write(node, put(a, "four", revision), put(b, "new", 0), {
      kind: "require",
      key: keyOf("x", "n", "k"),
      revision: (await node.store.objects.get(keyOf("x", "n", "k"), PATIENT)).object?.revision ?? 0,
    });
    t.match(held, [{ kind: "objects" }]);
    t.same([await read(node, a), await read(node, b)], ["four", "new"]);
    t.match(await write(node, put(a, "five", "any"), { kind: "require", key: b, revision: "any" }), [
      { kind: "objects" },
    ]);
    t.equal(await read(node, a), "five");
  });

  t.test("apply() of a delete of nothing changes nothing", async (t) => {
    t.match(await write(node, remove(keyOf("nothing"))), [{ kind: "objects", uids: [] }]);
    t.match(await write(node, remove(keyOf("nothing"), 0)), [{ kind: "objects", uids: [] }]);
    const { events } = await node.store.objects.history(node.store.applied.index - 2, {
      limit: 9,
      bytesMax: OBJECTS_READ_BYTES_MAX,
      ...PATIENT,
    });
    t.same(events, []);
  });

  t.test("objects survive a new worker and a new process", async (t) => {
    await write(node, put(keyOf("late"), "kept"));
    await killWorker(node);
    t.equal(await read(node, keyOf("late")), "kept");
    await node.reopen();
    t.equal(await read(node, keyOf("late")), "kept");
  });
});

t.test("objects.list()", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const names = ["n1/a", "n1/b", "n2/a", "n10/a", "/z", "n1/ž"];
  for (const name of names) {
    const [namespace, own = ""] = name.split("/");
    await write(node, put(keyOf(own, namespace), name));
  }
  await write(node, put(keyOf("other", "", "other"), "not a role"));
  const list = async (options: object) => {
    const { objects, isComplete } = await node.store.objects.list({
      kind: "role",
      limit: 99,
      ...PATIENT,
      ...options,
    });
    return [objects.map(({ namespace, name }) => `${namespace}/${name}`).join(" "), isComplete];
  };

  t.test("gives a kind, or a namespace of it, in order", async (t) => {
    t.same(await list({}), ["/z n1/a n1/b n1/ž n10/a n2/a", true]);
    t.same(await list({ namespace: "n1" }), ["n1/a n1/b n1/ž", true]);
    t.same(await list({ namespace: "" }), ["/z", true]);
    t.same(await list({ kind: "none" }), ["", true]);
    t.match(await node.store.objects.list({ kind: "none", limit: 1, ...PATIENT }), {
      revision: 7,
      objects: [],
    });
  });

  t.test("gives page after page", async (t) => {
    t.same(await list({ limit: 2 }), ["/z n1/a", false]);
    t.same(await list({ limit: 2, after: { namespace: "n1", name: "a" } }), ["n1/b n1/ž", false]);
    t.same(await list({ limit: 2, after: { namespace: "n1", name: "ž" } }), ["n10/a n2/a", true]);
    t.same(await list({ namespace: "n1", after: { namespace: "n1", name: "a" } }), ["n1/b n1/ž", true]);
    t.same(await list({ namespace: "n1", after: { namespace: "n1", name: "ž" } }), ["", true]);
  });

  t.test("ends a page at its bytes", async (t) => {
    const body = "x".repeat(OBJECT_BODY_BYTES_MAX);
    const fit = OBJECTS_READ_BYTES_MAX / OBJECT_BODY_BYTES_MAX;
    for (let nth = 0; nth <= fit; nth += 1) await write(node, put(keyOf(`${nth}`, "", "large"), body));
    const { objects, isComplete } = await node.store.objects.list({ kind: "large", limit: 99, ...PATIENT });
    t.same([objects.length, isComplete], [fit, false]);
  });
});

t.test("objects.history()", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  await write(node, put(keyOf("a"), "1"), put(keyOf("b"), "1"));
  await write(node, put(keyOf("a"), "2"));
  await write(node, remove(keyOf("b")), put(keyOf("c"), "3"));
  const history = async (after: number, limit = 99, bytesMax = OBJECTS_READ_BYTES_MAX) => {
    const page = await node.store.objects.history(after, { limit, bytesMax, ...PATIENT });
    return { ...page, events: page.events.map(inShort) };
  };

  t.test("gives the changes after a revision, deletions with the last body", async (t) => {
    t.match(await history(0), {
      revision: 3,
      compactedRevision: 0,
      isComplete: true,
      events: ["1 put a=1", "1 put b=1", "2 put a=2", "3 delete b", "3 put c=3"],
    });
    t.same((await history(2)).events, ["3 delete b", "3 put c=3"]);
    t.same((await history(3)).events, []);
  });

  t.test("gives page after page, and cuts no revision", async (t) => {
    t.match(await history(0, 1), { events: ["1 put a=1", "1 put b=1"], isComplete: false });
    t.match(await history(1, 2), { events: ["2 put a=2", "3 delete b", "3 put c=3"], isComplete: true });
    t.match(await history(1, 1), { events: ["2 put a=2"], isComplete: false });
  });

  t.test(
    "reads the next revision whatever it weighs, and beyond it no more bytes than asked for",
    async (t) => {
      t.match(await history(0, 99, 0), { events: ["1 put a=1", "1 put b=1"], isComplete: false });
      const one = EVENT_BYTES + 1;
      t.match(await history(0, 99, one), {
        events: ["1 put a=1", "1 put b=1", "2 put a=2"],
        isComplete: false,
      });
      const cut = await history(0, 99, 2 * one);
      t.same(cut.events.length, 3, "half of a revision is none");
      t.match(await history(0, 99, 3 * one), { events: { length: 5 }, isComplete: true });
      t.match(await history(3, 99, 0), { events: [], isComplete: true });
    },
  );

  t.test("forgets what a command compacts, never its own changes", async (t) => {
    await write(node, { kind: "compact", revision: 2 });
    t.match(await history(0), { compactedRevision: 2, events: ["3 delete b", "3 put c=3"] });
    await write(node, { kind: "compact", revision: 1 });
    await node.reopen();
    t.match(await history(0), { compactedRevision: 2, events: ["3 delete b", "3 put c=3"] });
    await write(node, { kind: "compact", revision: 999 }, put(keyOf("d"), "6"));
    t.match(await history(0), { compactedRevision: 5, events: ["6 put d=6"] });
    t.equal(await read(node, keyOf("a")), "2", "objects stay");
  });

  t.test("is bounded in events and bytes, with every change that fits", async (t) => {
    const first = node.store.applied.index + 1;
    const many = Array.from({ length: OBJECT_WRITES_MAX }, (_, nth) => put(keyOf(`many ${nth}`), ""));
    const entries = Math.floor(HISTORY_EVENTS_MAX / OBJECT_WRITES_MAX) + 2;
    await node.store.apply(Array.from({ length: entries }, (_, nth) => objectsEntry(first + nth, many)));
    t.equal((await history(0, 0)).compactedRevision, first + 1);

    const next = first + entries;
    const large = put(keyOf("large"), "x".repeat(OBJECT_BODY_BYTES_MAX));
    const fit = HISTORY_BYTES_MAX / OBJECT_BODY_BYTES_MAX;
    await node.store.apply(Array.from({ length: fit }, (_, nth) => objectsEntry(next + nth, [large])));
    t.equal((await history(0, 0)).compactedRevision, first + 1, "all of them fit");
    await node.store.apply([objectsEntry(next + fit, [put(keyOf("small"), "x")])]);
    t.equal((await history(0, 0)).compactedRevision, next, "one byte more: the oldest large one goes");
  });
});

t.test("a deletion weighs nothing, however large the objects were", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  // More than the history may hold.
  const fit = HISTORY_BYTES_MAX / OBJECT_BODY_BYTES_MAX;
  const keys = Array.from({ length: fit + 4 }, (_, nth) => keyOf(`large ${nth}`));
  const body = "x".repeat(OBJECT_BODY_BYTES_MAX);
  for (const key of keys) await write(node, put(key, body));
  const events: ObjectEvent[] = [];
  node.store.onObjectEvents((some) => events.push(...some));
  const made = (await node.store.objects.get(keyOf("large 0"), PATIENT)).object;
  await write(node, ...keys.map((key) => remove(key)));
  const revision = node.store.applied.index;
  t.equal(events.length, keys.length);
  const { kind, namespace, name, uid, createdRevision } = made ?? {};
  const deleted = { kind, namespace, name, uid, createdRevision, revision };
  t.strictSame(events[0], { revision, type: "delete", object: deleted });
  const page = await node.store.objects.history(revision - 1, { limit: 999, bytesMax: 0, ...PATIENT });
  t.strictSame(page.events, events, "none of it is forgotten");
  t.match(page, { isComplete: true, compactedRevision: keys.length - fit });
});

t.test("history keeps the newest revision, whatever it weighs", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  // Beyond what the check lets into the log.
  const body = "x".repeat(OBJECT_BODY_BYTES_MAX);
  const count = HISTORY_BYTES_MAX / OBJECT_BODY_BYTES_MAX + 1;
  await write(node, put(keyOf("old"), "1"));
  await write(node, ...Array.from({ length: count }, (_, nth) => put(keyOf(`${nth}`), body)));
  const page = await node.store.objects.history(1, { limit: 99, bytesMax: 0, ...PATIENT });
  t.match(page, { compactedRevision: 1, events: { length: count } });
  await write(node, put(keyOf("new"), "2"));
  t.equal((await node.store.objects.history(2, { limit: 99, bytesMax: 0, ...PATIENT })).compactedRevision, 2);
});

t.test("onObjectEvents()", async (t) => {
  t.test("tells of every change once and in order, whatever happens to the worker", async (t) => {
    const node = await StoreNode.create();
    t.teardown(() => node.remove());
    const heard: string[] = [];
    node.store.onObjectEvents((events) => heard.push(...events.map(inShort)));
    const expected: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      const first = node.store.applied.index + 1;
      const applied = node.store.apply(
        [0, 1, 2].map((nth) => objectsEntry(first + nth, [put(keyOf("a"), `${first + nth}`)])),
      );
      await Promise.all([applied, killWorker(node)]);
      expected.push(...[0, 1, 2].map((nth) => `${first + nth} put a=${first + nth}`));
      await write(node, put(keyOf("b"), "no", 999));
      t.same(heard, expected);
    }
  });

  t.test("tells before apply() answers, until it is told to end", async (t) => {
    const node = await StoreNode.create();
    t.teardown(() => node.remove());
    const order: string[] = [];
    const end = node.store.onObjectEvents((events) => order.push(...events.map(inShort)));
    await write(node, put(keyOf("a"), "1")).then(() => order.push("answered"));
    end();
    await write(node, put(keyOf("a"), "2"));
    t.same(order, ["1 put a=1", "answered"]);
  });

  t.test("tells of an entry that only state.db had before a crash", async (t) => {
    const node = await StoreNode.create();
    t.teardown(() => node.remove());
    await write(node, put(keyOf("a"), "1"));
    await node.store.checkpoint();
    const names = ["app.db", "app.db-sums"].map((name) => join(node.directory, name));
    const old = await Promise.all(names.map(async (path) => [path, await readFile(path)] as const));
    const entries = [2, 3].map((index) => objectsEntry(index, [put(keyOf("a"), `${index}`)]));
    await node.store.apply(entries);
    const { digest } = node.store;
    await node.reopenAfter(async () => {
      for (const [path, bytes] of old) await writeFile(path, bytes);
    });
    const heard: string[] = [];
    node.store.onObjectEvents((events) => heard.push(...events.map(inShort)));
    t.match(await node.store.objects.get(keyOf("a"), PATIENT), { revision: 3, object: { revision: 3 } });
    t.equal(node.store.digest.index, 0, "the files are not level");
    await node.store.apply(entries.slice(0, 1));
    t.equal(node.store.digest.index, 0);
    await node.store.apply(entries.slice(1));
    t.same(heard, ["2 put a=2", "3 put a=3"]);
    t.same(node.store.digest, digest);
  });
});
