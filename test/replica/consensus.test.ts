import { ELECTION_MS, NODES, testTrio } from "./consensus-trio.ts";

testTrio("a founder leads at once, and its configuration makes the others voters", async (t, trio) => {
  await trio.run(60);
  t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
  await trio.run(200);
  for (const { raft } of trio.members) {
    t.ok(raft.isVoter);
    t.equal(raft.commitIndex, 2, "the configuration and the first entry of the term");
  }
});

testTrio(
  "members of another cluster are not heard, though they name the same node",
  async (t, trio) => {
    await trio.run(3_000);
    t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
    const [, other] = trio.members;
    t.equal(other?.raft.term, 0, "the node of cluster two gave no vote and took no entry");
    t.equal(other?.raft.lastIndex, 0);
  },
  ["one", "two", "one"],
);

testTrio("a stall of all is not taken for silence", async (t, trio) => {
  await trio.run(300);
  const terms = trio.terms();
  // As after SIGSTOP: much time has passed, and every timer is late at once.
  for (let stall = 0; stall < 10; stall++) {
    trio.clock.jump(10_000);
    await trio.run(300);
  }
  t.strictSame(trio.terms(), terms);
  t.strictSame(trio.roles(), ["leader", "follower", "follower"]);
});

testTrio("a leader that hears nobody steps down, and leads or follows again once healed", async (t, trio) => {
  await trio.run(300);
  for (const other of NODES.slice(1)) {
    trio.network.cut(NODES[0] ?? "", other);
    trio.network.cut(other, NODES[0] ?? "");
  }
  await trio.run(3_000);
  t.not(trio.members[0]?.raft.role, "leader");
  t.ok(trio.roles().slice(1).includes("leader"));
  trio.network.heal();
  await trio.run(2_000);
  t.equal(trio.roles().filter((role) => role === "leader").length, 1);
  t.equal(new Set(trio.terms()).size, 1);
});

testTrio("of those that are left, one whose log has no room may be the only one to lead", async (t, trio) => {
  await trio.run(300);
  const [a, b, c] = trio.members;
  trio.full.add(1);
  // The last entry reaches b only, where it waits for room, longer than a disk may hang; then a dies.
  trio.network.cut(NODES[0] ?? "", NODES[2] ?? "");
  a?.propose(new Uint8Array(10));
  await trio.run(4 * ELECTION_MS);
  t.equal(b?.raft.lastIndex, 3);
  t.equal(c?.raft.lastIndex, 2);
  a?.stop();
  trio.network.heal();
  await trio.run(10_000);
  t.ok(trio.roles().slice(1).includes("leader"), `${trio.roles()}`);
  t.equal(c?.raft.lastIndex, b?.raft.lastIndex, "c has the entry by now");
  trio.full.clear();
  await trio.run(3_000);
  t.equal(c?.raft.commitIndex, c?.raft.lastIndex);
});

testTrio("a burst of proposals is one append and one sync", async (t, trio) => {
  await trio.run(300);
  const [leader] = trio.members;
  const before = trio.network.delivered.get("raft/one") ?? 0;
  for (let nth = 0; nth < 100; nth++) leader?.propose(new Uint8Array(10));
  await trio.run(10);
  for (const { raft } of trio.members) t.equal(raft.lastIndex, 102);
  const datagrams = (trio.network.delivered.get("raft/one") ?? 0) - before;
  t.ok(datagrams <= 8, `${datagrams} datagrams`);
});

testTrio("a member that is stopped while it tells of its progress arms no timer", async (t, trio) => {
  await trio.run(300);
  // From here on, only its timer moves it.
  for (const from of NODES) for (const to of NODES) trio.network.cut(from, to);
  await trio.run(50);
  let stopped = 0;
  trio.onProgress = (nth) => {
    if (nth !== 0) return;
    // As when what it leads to fails.
    trio.members[0]?.stop();
    stopped += 1;
  };
  await trio.run(200);
  t.equal(stopped, 1, "and tells of nothing more");
  for (const other of trio.members.slice(1)) other.stop();
  t.equal(trio.clock.timers, 0);
});
