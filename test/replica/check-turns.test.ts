import { t } from "tap";
import { systemClock } from "../../agent/platform/clock.ts";
import { CheckTurns } from "../../agent/replica/check-turns.ts";
import type { SqlStatement } from "../../agent/store/types.ts";

const short = [{ sql: "SELECT 1", parameters: [] }];
const long = [{ sql: `SELECT ${"1,".repeat(64 * 1024)} 1`, parameters: [] }];

t.test("wait() gives timers a turn between two long texts, and does not hold up a short one", async (t) => {
  const turns = new CheckTurns(systemClock);
  const order: string[] = [];
  const heartbeat = setInterval(() => {
    if (order.at(-1) !== "heartbeat") order.push("heartbeat");
  }, 1);
  t.teardown(() => clearInterval(heartbeat));
  const check = async (name: string, statements: readonly SqlStatement[]): Promise<void> => {
    await turns.wait(statements);
    order.push(name);
    // It takes its time.
    for (const start = performance.now(); performance.now() < start + 3; );
  };
  await Promise.all([check("a", long), check("b", long), check("c", long), check("d", short)]);
  t.same(order, ["a", "d", "heartbeat", "b", "heartbeat", "c"]);
});
