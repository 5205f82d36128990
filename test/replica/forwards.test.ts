import { t } from "tap";
import { Forwards } from "../../agent/replica/forwards.ts";
import { ManualClock } from "../platform/manual-clock.ts";

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("given up"))));
}

t.test("Forwards: a request at a leader that lost its lead is given up after a grace", async (t) => {
  const clock = new ManualClock();
  const forwards = new Forwards(clock);
  let isOver = false;
  const frozen = forwards.follow("a", never).finally(() => {
    isOver = true;
  });
  const ended = t.rejects(frozen, { message: "given up" });
  clock.advance(60_000);
  forwards.leaderChanged("a");
  clock.advance(60_000);
  await Promise.resolve();
  t.notOk(isOver, "the same node leads on: it may take its time");
  forwards.leaderChanged("b");
  clock.advance(499);
  await Promise.resolve();
  t.notOk(isOver, "who handed over still answers");
  clock.advance(1);
  await ended;
  t.equal(clock.timers, 0);
});

t.test("Forwards: an answer within the grace counts", async (t) => {
  const clock = new ManualClock();
  const forwards = new Forwards(clock);
  const answered = forwards.follow("a", async () => {
    await Promise.resolve();
    return 1;
  });
  forwards.leaderChanged("b");
  t.equal(await answered, 1);
  t.equal(clock.timers, 0, "no timer is left behind");
});
