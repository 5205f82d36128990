import { t } from "tap";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { LogPosition } from "../../agent/raft/types.ts";
import { alignLog } from "../../agent/replica/align-log.ts";
import { assertOneHistory, isOneHistory } from "../../agent/replica/one-history.ts";
import { commands, hardState, openLog, reopen } from "../log/log-fixture.ts";

/** A log of five entries of term 1, two of them committed, next to a store that was given a snapshot of `installed`. */
async function alignTo(installed: LogPosition | null) {
  const before = new MemoryDirectory();
  const { log: writing } = await openLog(before);
  await writing.append({ entries: commands(1, 5, 1), hardState: hardState(1, "a", 2) });
  const directory = before.kill();
  const { log, recovered } = await openLog(directory);
  let finished = 0;
  const store = {
    pendingInstall: installed,
    finishInstall: async () => {
      finished += 1;
    },
  };
  const aligned = await alignLog({ log, store, recovered });
  // A power cut right after: what was returned is what the next process finds.
  const found = (await reopen(directory)).recovered;
  return { aligned, found, finished };
}

t.test("alignLog(): a snapshot that ends in the log leaves what stands behind it", async (t) => {
  const { aligned, found, finished } = await alignTo({ index: 3, term: 1 });
  t.strictSame(aligned.base, { index: 3, term: 1 });
  t.strictSame(
    aligned.entries.map(({ index }) => index),
    [4, 5],
  );
  t.strictSame(aligned.hardState, hardState(1, "a", 3));
  t.match(found, aligned);
  t.equal(finished, 1);
});

t.test("alignLog(): a snapshot of another history replaces the log, and its term is entered", async (t) => {
  for (const installed of [
    { index: 4, term: 3 },
    { index: 90, term: 3 },
  ]) {
    const { aligned, found, finished } = await alignTo(installed);
    t.strictSame(aligned, { base: installed, entries: [], hardState: hardState(3, null, installed.index) });
    t.match(found, { base: installed, hardState: aligned.hardState });
    t.equal(found.entries.length, 0);
    t.equal(finished, 1);
  }
});

t.test("alignLog(): without an installation nothing changes", async (t) => {
  const { aligned, found, finished } = await alignTo(null);
  t.equal(aligned.entries.length, 5);
  t.strictSame(found.base, { index: 0, term: 0 });
  t.equal(finished, 0);
});

/** Entries 3 to 5 of terms 1, 1 and 2, behind a base of 2. */
const LOG = {
  base: { index: 2, term: 1 },
  entries: [...commands(3, 2, 1), ...commands(5, 1, 2)],
  hardState: hardState(2, null, 4),
};

t.test("isOneHistory(): the newest entry of the databases is in the log, or before it", async (t) => {
  const isInLog = (index: number, term: number): boolean =>
    isOneHistory({ newest: { index, term }, pendingInstall: null }, LOG);
  t.ok(isInLog(0, 0), "empty databases are incomplete only");
  t.ok(isInLog(1, 1));
  t.ok(isInLog(2, 1), "the base itself");
  t.notOk(isInLog(2, 2), "another history's");
  t.ok(isInLog(4, 1));
  t.notOk(isInLog(4, 2), "a later leader's, which took the place of this one and is gone");
  t.ok(isInLog(5, 2));
  t.notOk(isInLog(6, 2), "the log has lost its end");
});

t.test("isOneHistory(): what was installed before a crash is ahead of the log by design", async (t) => {
  const stands = (installed: LogPosition, newest: LogPosition): boolean =>
    isOneHistory({ newest, pendingInstall: installed }, LOG);
  for (const installed of [
    { index: 90, term: 3 },
    { index: 4, term: 2 },
    { index: 4, term: 1 },
  ])
    t.ok(stands(installed, installed), `${installed.index}/${installed.term}`);
  t.ok(stands({ index: 4, term: 1 }, { index: 5, term: 2 }), "the log goes on behind it");
  t.notOk(stands({ index: 90, term: 3 }, { index: 91, term: 3 }), "the log had followed, and has lost that");
  t.notOk(stands({ index: 4, term: 2 }, { index: 5, term: 2 }), "what stands behind another entry 4 is gone");
  t.notOk(stands({ index: 1, term: 1 }, { index: 6, term: 2 }), "an installation that the log has followed");
});

t.test("assertOneHistory() says where the log ends, and what to do", async (t) => {
  const store = { newest: { index: 7, term: 2 }, pendingInstall: null };
  t.throws(() => assertOneHistory(store, LOG), {
    code: "log-behind-store",
    message: /applied entry 7 of term 2, and the log, which ends at 5, .* Restore the whole directory/,
  });
  const empty = { base: { index: 0, term: 0 }, entries: [], hardState: hardState(1, null, 0) };
  t.throws(() => assertOneHistory(store, empty), { message: /and the log is empty/ });
  assertOneHistory({ newest: { index: 5, term: 2 }, pendingInstall: null }, LOG);
});
