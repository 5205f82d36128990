import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import type { Entry } from "../../agent/raft/types.ts";
import { committedPosition } from "../../agent/replica/committed-position.ts";
import { Deadline } from "../../agent/replica/deadline.ts";
import { LogTime } from "../../agent/replica/log-time.ts";
import { Proposals } from "../../agent/replica/proposals.ts";
import { RaftTime } from "../../agent/replica/raft-time.ts";
import { isAnswerLost, isNothingDone, toSqlError } from "../../agent/replica/sql-errors.ts";
import { Waiters } from "../../agent/replica/waiters.ts";
import { encodeCommand } from "../../agent/store/command.ts";
import { ManualClock } from "../platform/manual-clock.ts";

t.test("RaftTime follows the clock while nothing is late", async (t) => {
  const time = new RaftTime({ nowMs: 1_000, slackMs: 150 });
  t.equal(time.advance(1_000, 900), 0);
  t.equal(time.advance(1_500, 900), 500);
  t.equal(time.advance(1_900, 900), 900);
});

t.test("RaftTime counts a stall only up to the slack behind the deadline", async (t) => {
  const time = new RaftTime({ nowMs: 0, slackMs: 150 });
  t.equal(time.advance(60_000, 900), 1_050, "a minute of SIGSTOP is not a minute of silence");
  t.equal(time.advance(60_100, 2_000), 1_150, "and time goes on from there");
});

t.test("RaftTime never goes back", async (t) => {
  const time = new RaftTime({ nowMs: 500, slackMs: 150 });
  t.equal(time.advance(700, 900), 200);
  t.equal(time.advance(600, 900), 200);
  t.equal(time.advance(700, 900), 200, "what was counted is not counted again");
});

type ReadableLog = Parameters<LogTime["next"]>[0];

function logWith(term: number, timesMs: readonly number[]): ReadableLog {
  const commands = timesMs.map((timeMs, nth): Entry => {
    const command = encodeCommand({
      kind: "sql",
      timeMs,
      session: null,
      seed: new Uint8Array(16),
      transaction: false,
      statements: [],
    });
    return { kind: "command", index: nth + 1, term, command };
  });
  const entries: readonly Entry[] = [...commands, { kind: "noop", index: commands.length + 1, term }];
  return { term, firstIndex: 1, lastIndex: entries.length, entries: (from) => entries.slice(from - 1, from) };
}

t.test("LogTime never goes back, not even when a leader with a slow clock takes over", async (t) => {
  const clock = new ManualClock();
  clock.advance(5_000);
  const time = new LogTime(clock);
  t.equal(time.next(logWith(1, []), 0), 5_000);
  t.equal(time.next(logWith(2, [4_000, 9_000]), 0), 9_000, "the last command's time");
  clock.advance(1_000);
  t.equal(time.next(logWith(2, [4_000, 9_000]), 0), 9_000);
  clock.advance(10_000);
  t.equal(time.next(logWith(2, [4_000, 9_000]), 0), 16_000, "the clock has caught up");
});

t.test(
  "LogTime goes on from the database's time where the log has begun behind its last command",
  async (t) => {
    const clock = new ManualClock();
    clock.advance(5_000);
    const time = new LogTime(clock);
    t.equal(time.next({ ...logWith(3, []), firstIndex: 1 }, 8_000), 8_000);
  },
);

t.test("Proposals whose entries a snapshot has skipped do not wait for ever", async (t) => {
  const proposals = new Proposals();
  const skipped = proposals.wait(5, 1);
  const cut = proposals.wait(9, 1);
  const open = proposals.wait(9, 3);
  proposals.restored({ index: 7, term: 2 });
  await t.rejects(skipped, { code: "outcome-unknown" }, "it may have happened");
  await t.rejects(cut, { code: "not-leader" }, "behind an entry of term 2 none of term 1 can stand");
  t.equal(proposals.size, 1);
  proposals.applied(9, 3, []);
  t.strictSame((await open).position, { index: 9, term: 3 });
});

t.test("Proposals tell what became of each", async (t) => {
  const proposals = new Proposals();
  const first = proposals.wait(1, 1);
  const second = proposals.wait(2, 1);
  const third = proposals.wait(3, 2);
  const result = [{ kind: "changed", lastInsertId: 1, rowsAffected: 1 }] as const;
  proposals.applied(1, 1, result);
  t.strictSame(await first, { position: { index: 1, term: 1 }, result });
  proposals.applied(2, 2, []);
  await t.rejects(second, { code: "not-leader" }, "another leader's entry stands there: it never happens");
  proposals.fail(new TrivetError("outcome-unknown", "stopped"));
  await t.rejects(third, { code: "outcome-unknown" });
  t.equal(proposals.size, 0);
});

t.test(
  "Proposals: what was cut from the own log may still happen, until another entry is applied there",
  async (t) => {
    const proposals = new Proposals();
    // Led in term 1, lost entries 7 and 8 to the leader of term 2, led again in term 3 (Raft figure 8, with 5 voters).
    const first = proposals.wait(7, 1);
    const second = proposals.wait(8, 1);
    const third = proposals.wait(7, 3);
    // Then the member that held them won term 4 and committed them, and its own first entry behind.
    proposals.applied(7, 1, []);
    proposals.applied(8, 1, []);
    t.strictSame((await first).position, { index: 7, term: 1 });
    t.strictSame((await second).position, { index: 8, term: 1 });
    proposals.applied(9, 4, []);
    await t.rejects(third, { code: "not-leader" }, "no entry of a lower term can follow one of term 4");
    t.equal(proposals.size, 0);
  },
);

t.test("Proposals: the first entry of a new term settles all that are behind it, at once", async (t) => {
  const proposals = new Proposals();
  const lost = Array.from({ length: 100 }, (_, nth) => proposals.wait(nth + 5, 1));
  const settled = Promise.allSettled(lost);
  proposals.applied(5, 2, []);
  t.equal(proposals.size, 0);
  for (const each of await settled) t.match(each, { status: "rejected", reason: { code: "not-leader" } });
});

t.test("Waiters let go when the condition holds, at the deadline, or at the end", async (t) => {
  const clock = new ManualClock();
  const waiters = new Waiters(clock);
  let level = 0;
  const late = (): TrivetError => new TrivetError("timeout", "late");
  const met = waiters.until(() => level >= 1, 100, late);
  const missed = waiters.until(() => level >= 9, 100, late);
  const ended = waiters.until(() => level >= 9, 500, late);
  level = 1;
  waiters.changed();
  await met;
  clock.advance(100);
  await t.rejects(missed, { code: "timeout" });
  waiters.fail(new TrivetError("stopping", "the end"));
  await t.rejects(ended, { code: "stopping" });
  t.equal(clock.timers, 0, "no timer is left");
});

t.test("Deadline.race() gives up in time and leaves no timer behind", async (t) => {
  const clock = new ManualClock();
  const deadline = new Deadline(clock, 50);
  const late = (): TrivetError => new TrivetError("timeout", "late");
  t.equal(await deadline.race(Promise.resolve(1), late), 1);
  await Promise.resolve();
  t.equal(clock.timers, 0);
  const never = deadline.race(new Promise<number>(() => undefined), late);
  clock.advance(50);
  await t.rejects(never, { code: "timeout" });
  t.ok(deadline.hasPassed);
  const next = new Deadline(clock, 50);
  const ending = new AbortController();
  const ended = next.race(new Promise<number>(() => undefined), late, ending.signal);
  ending.abort(new TrivetError("stopping", "the end"));
  await t.rejects(ended, { code: "stopping" });
  t.equal(clock.timers, 0, "nor when it is not waited for any more");
  await t.rejects(next.race(Promise.resolve(1), late, ending.signal), { code: "stopping" });
  t.equal(clock.timers, 0);
});

t.test("toSqlError() promises that nothing was done only where that is certain", async (t) => {
  const told = (code: string): unknown => {
    const error = toSqlError(new TrivetError(code, "..."));
    return error instanceof TrivetError ? error.code : error;
  };
  for (const code of ["not-leader", "no-route", "stopping", "unknown-method"]) {
    t.ok(isNothingDone(new TrivetError(code, "...")));
    t.equal(told(code), "no-leader");
  }
  for (const code of ["peer-down", "request-timeout", "request-aborted", "bus-closed"]) {
    t.ok(isAnswerLost(new TrivetError(code, "...")));
    t.notOk(isNothingDone(new TrivetError(code, "...")));
    t.equal(told(code), "outcome-unknown");
  }
  for (const code of ["busy", "too-many-requests", "overloaded"]) t.equal(told(code), "overloaded");
  t.equal(told("too-large"), "too-large");
  t.notOk(isNothingDone(new RangeError("not-leader")));
});

t.test("committedPosition() names the base where a read was overtaken by the log's end", async (t) => {
  const terms = new Map([
    [7, 2],
    [8, 3],
  ]);
  const log = { base: { index: 7, term: 2 }, termAt: (index: number) => terms.get(index) };
  t.strictSame(committedPosition(log, 8), { index: 8, term: 3 });
  t.strictSame(committedPosition(log, 7), { index: 7, term: 2 });
  t.strictSame(committedPosition(log, 5), { index: 7, term: 2 }, "dropped while the read was confirmed");
  t.throws(() => committedPosition(log, 9), /no term at 9/);
});
