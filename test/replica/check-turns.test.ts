import { t } from "tap";
import { systemClock } from "../../agent/platform/clock.ts";
import { CheckTurns } from "../../agent/replica/check-turns.ts";
import type { SqlStatement } from "../../agent/store/types.ts";
import { ServiceTrio } from "./service-trio.ts";

/** Says when its text is looked at for the `nth` time. */
function watched(text: string, nth: number, onLook: () => void): SqlStatement {
  let looks = 0;
  return {
    get sql() {
      looks += 1;
      if (looks === nth) onLook();
      return text;
    },
    parameters: [],
  };
}

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

t.test("query() checks long texts in turns of their own, before it waits for what it must see", async (t) => {
  const trio = await ServiceTrio.start(t);
  const { sql } = trio.get(0);
  const options = { level: "linearizable", timeoutMs: 20_000 } as const;
  await sql.query(short, options);
  const order: string[] = [];
  const heartbeat = setInterval(() => {
    if (order.at(-1) !== "heartbeat") order.push("heartbeat");
  }, 1);
  t.teardown(() => clearInterval(heartbeat));
  // First it is asked how long it is, then it is checked.
  const read = (name: string, text: string) => sql.query([watched(text, 2, () => order.push(name))], options);
  const text = long[0]?.sql ?? "";
  const answers = await Promise.all([
    read("a", text),
    read("b", text),
    read("c", text),
    read("d", "SELECT 1"),
  ]);
  t.same(order.slice(0, 6), ["a", "d", "heartbeat", "b", "heartbeat", "c"]);
  t.match(answers[3], [{ values: [[1]] }]);
});
