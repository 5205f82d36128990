import { RETAIN_BYTES, testMembers } from "./member-set.ts";

testMembers(
  "a member that was away for long is brought back by a snapshot, while writes go on",
  async (t, members) => {
    members.cutOff("c");
    const written = await members.outgrow("c", 1);
    const { replica: leader } = members.get("a");
    t.ok(leader.status().logBytes <= 2 * RETAIN_BYTES, `${leader.status().logBytes} bytes are kept`);
    const lag = leader.status().firstIndex;
    members.network.heal();
    const { lastIndex: had } = members.get("c").replica.status();
    const writing = members.write("a", written + 1, 60);
    await members.until(
      "c is past what the log held",
      () => members.get("c").replica.status().appliedIndex > lag,
    );
    await writing;
    const { memberId } = members.get("c");
    await members.until("c follows", () => {
      const peers = ["a", "b"].flatMap((letter) => members.get(letter).replica.status().peers ?? []);
      const peer = peers.find(({ member }) => member === memberId);
      return peer?.state === "replicate" && peer.match === leader.status().lastIndex;
    });
    t.equal((await members.ids("c", "linearizable")).length, written + 60);
    // The log may have overtaken a second snapshot, which is then given up.
    await members.until("c fetches nothing", () => members.get("c").replica.status().snapshot === null);
    const { firstIndex, copyFault } = members.get("c").replica.status();
    t.ok(firstIndex > had + 1, "its log begins behind the snapshot");
    t.equal(copyFault, null);
    // What came by the snapshot outlives a restart, together with what came behind it.
    await members.get("c").stop();
    await members.write("a", written + 61, 1);
    await members.start("c");
    t.equal((await members.ids("c", "linearizable")).length, written + 61);
  },
);

testMembers(
  "the store's word of an installation stays until the log stands on it, whatever is installed meanwhile",
  async (t, members) => {
    const { replica, store } = members.get("c");
    let resume = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      resume = resolve;
    });
    members.cutOff("c");
    const written = await members.outgrow("c", 1);
    // Not before it is in the leader's term: that goes to the disk as well.
    members.network.alterAnswer = (method, body) => {
      if (method === "snapshot/read") members.syncAfter("c", held);
      return body;
    };
    let installations = 0;
    replica.onInstalled(() => {
      installations += 1;
    });
    members.network.heal();
    await members.until("c has a snapshot", () => installations === 1);
    const { pendingInstall } = store;
    replica.copy.quarantine("diverged");
    // Nothing was written meanwhile: it ends where the first one did.
    await members.until("c has another", () => installations === 2 && replica.status().copyFault === null);
    // Behind whatever the store was told.
    await store.checkpoint();
    t.strictSame(store.pendingInstall, pendingInstall, "a crash would find the log far behind its databases");
    t.not(pendingInstall, null);
    resume();
    await members.until("the log has followed", () => store.pendingInstall === null);
    await members.get("c").stop();
    await members.start("c");
    t.equal((await members.ids("c", "linearizable")).length, written);
  },
);

testMembers(
  "a member gets a snapshot over a slow link while others write as fast as they can",
  async (t, members) => {
    await members.write("a", 1, 20, 100_000);
    members.cutOff("c");
    let written = await members.outgrow("c", 21);
    const before = written;
    // Half a second for 2 MB: the log would grow far beyond what is kept meanwhile.
    members.network.answerMs = (method) => (method === "snapshot/read" ? 60 : 1);
    members.network.heal();
    const { replica, memberId } = members.get("c");
    const { lastIndex: had } = replica.status();
    let isDone = false;
    const writing = async (): Promise<void> => {
      for (; !isDone; written += 8) await members.write("a", written + 1, 8);
    };
    const wrote = writing();
    await members.until("c follows by the log", () => {
      const peers = ["a", "b"].flatMap((letter) => members.get(letter).replica.status().peers ?? []);
      const peer = peers.find(({ member }) => member === memberId);
      return (
        peer?.state === "replicate" &&
        replica.status().snapshot === null &&
        replica.status().firstIndex > had + 1
      );
    });
    isDone = true;
    await wrote;
    const opened = members.network.delivered.get("snapshot/open") ?? 0;
    t.ok(opened <= 3, `a snapshot was opened ${opened} times`);
    t.ok(written > before + 8, `${written - before} rows: writes went on`);
    t.equal((await members.ids("c", "linearizable")).length, written);
  },
);

testMembers("a member whose databases are lost serves nothing until it has another's", async (t, members) => {
  await members.write("a", 1, 120);
  // Else its own log would bring everything back.
  const { replica } = members.get("c");
  await members.until("c's log is not whole any more", () => replica.status().firstIndex > 1);
  await members.get("c").stop();
  await members.emptyDatabases("c");
  members.cutOff("c");
  await members.start("c");
  t.equal(members.get("c").replica.status().copyFault, "empty");
  t.notOk(members.get("c").replica.hasWholeCopy);
  await t.rejects(members.ids("c"), { code: "not-serving" });
  members.network.heal();
  await members.until("c has a copy", () => members.get("c").replica.status().copyFault === null);
  t.equal((await members.ids("c", "linearizable")).length, 120);
  t.ok(members.get("c").replica.hasWholeCopy);
});

testMembers(
  "a member without a copy takes no more entries than a bounded log holds, until it has one",
  async (t, members) => {
    const { replica, memberId } = members.get("c");
    // More than the bound, and what is on its way to a member at once (1 MiB).
    const [rows, rowBytes] = [60, 30_000];
    let [mayFetch, written] = [false, 0];
    members.network.alterAnswer = (method, body) =>
      method === "snapshot/open" && !mayFetch ? new Uint8Array(0) : body;
    replica.copy.quarantine("diverged");
    const leader = members.get("a").replica;
    // The leader forgets soon what it has written: who falls behind now would wait for a snapshot, with a log that is not full.
    for (let id = 1; replica.status().logBytes <= 4 * RETAIN_BYTES; id++) {
      await members.write("a", id, 1, rowBytes);
      const { lastIndex } = leader.status();
      await members.until("c has come so far", () => replica.status().lastIndex >= lastIndex);
      written = id;
    }
    await members.write("a", written + 1, rows - written, rowBytes);
    const boundBytes = 4 * RETAIN_BYTES + 1024 * 1024;
    const { logBytes, lastIndex } = replica.status();
    t.ok(logBytes > 4 * RETAIN_BYTES, "as many as it may");
    t.ok(logBytes < boundBytes + 48 * 1024, `${logBytes} bytes are kept`);
    t.ok(lastIndex < rows, `it ends at ${lastIndex}`);
    const peer = leader.status().peers?.find(({ member }) => member === memberId);
    t.ok((peer?.match ?? rows) < lastIndex, "and it vouches for what it holds only");
    mayFetch = true;
    await members.until("c has a copy, and its log is short", () => {
      const { copyFault, ...status } = replica.status();
      return copyFault === null && status.logBytes <= 2 * RETAIN_BYTES;
    });
    t.equal((await members.ids("c", "linearizable")).length, rows);
  },
);

testMembers(
  "a member whose database is slow takes no more entries than a bounded log holds",
  async (t, members) => {
    const { replica } = members.get("c");
    const [rows, rowBytes] = [60, 30_000];
    let resume = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      resume = resolve;
    });
    members.applyAfter("c", held);
    await members.write("a", 1, rows, rowBytes);
    await members.until("c's log is full", () => replica.status().logBytes > 4 * RETAIN_BYTES);
    await members.write("a", rows + 1, 1);
    const { logBytes, lastIndex } = replica.status();
    // The bound, and what is on its way to a member at once (1 MiB).
    t.ok(logBytes < 4 * RETAIN_BYTES + 1024 * 1024 + 48 * 1024, `${logBytes} bytes are kept`);
    t.ok(lastIndex < rows, `it ends at ${lastIndex}`);
    resume();
    t.equal((await members.ids("c", "linearizable")).length, rows + 1);
    await members.until("its log is short", () => replica.status().logBytes <= 2 * RETAIN_BYTES);
  },
);

testMembers(
  "a leader whose database is slow takes no more writes than a bounded log holds",
  async (t, members) => {
    const { replica } = members.get("a");
    let resume = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      resume = resolve;
    });
    members.applyAfter("a", held);
    // Their callers leave soon; the followers go on committing.
    const [rows, rowBytes, atOnce] = [40, 30_000, 8];
    const ended: unknown[] = [];
    for (let id = 1; id <= rows; id += atOnce) {
      const writes = Array.from({ length: atOnce }, (_, nth) =>
        members.tryWrite("a", id + nth, rowBytes, 100),
      );
      ended.push(...(await Promise.all(writes)));
    }
    const { logBytes } = replica.status();
    // The bound, and what was on its way to the others.
    t.ok(logBytes < 4 * RETAIN_BYTES + atOnce * 2 * rowBytes, `${logBytes} bytes are kept`);
    t.ok(ended.includes("timeout"), "those before the bound were in the log");
    t.ok(ended.includes("store-busy"), "those behind it were not carried out");
    t.notOk(ended.includes("done"));
    resume();
    await members.until("its log is short", () => replica.status().logBytes <= 2 * RETAIN_BYTES);
    await members.write("a", rows + 1, 8);
    const there = await members.ids("a", "linearizable");
    const refused = ended.flatMap((code, nth) => (code === "store-busy" ? [nth + 1] : []));
    t.strictSame(
      refused.filter((id) => there.includes(id)),
      [],
      "what was told not to be carried out was not",
    );
  },
);

testMembers("a member without a copy votes, though entries wait before its vote", async (t, members) => {
  const { replica } = members.get("c");
  members.network.alterAnswer = (method, body) => (method === "snapshot/open" ? new Uint8Array(0) : body);
  replica.copy.quarantine("diverged");
  const leader = members.get("a").replica;
  for (let id = 1; replica.status().logBytes <= 4 * RETAIN_BYTES; id++) {
    await members.write("a", id, 1, 30_000);
    const { lastIndex } = leader.status();
    await members.until("c has come so far", () => replica.status().lastIndex >= lastIndex);
  }
  await members.write("a", 100, 8, 30_000);
  await members.get("b").stop();
  await members.get("a").stop();
  await members.start("a");
  const again = members.get("a").replica;
  await members.until("a leads with c's vote", () => again.status().role === "leader");
  t.equal(replica.status().copyFault, "diverged");
});
