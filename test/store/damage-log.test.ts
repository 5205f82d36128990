import t from "tap";
import { DamageLog } from "../../agent/store/damage-log.ts";
import { DAMAGE_LOG_MS } from "../../agent/store/limits.ts";
import { ManualClock } from "../platform/manual-clock.ts";

function logScene() {
  const clock = new ManualClock();
  const counts: unknown[] = [];
  const log = new DamageLog(clock, { log: (_level, _message, fields) => counts.push(fields?.["findings"]) });
  return { clock, counts, log };
}

t.test(
  "a database that is found wrong page by page takes a line now and then, and each is counted",
  async (t) => {
    const { clock, counts, log } = logScene();
    const pages = 600;
    for (let page = 1; page <= pages; page += 1) {
      log.found(`page ${page}`, 1);
      clock.advance((2.5 * DAMAGE_LOG_MS) / pages);
    }
    t.strictSame([counts.length, counts[0]], [3, 1]);
    clock.advance(DAMAGE_LOG_MS);
    t.equal(counts.at(-1), pages, "the last ones are told of as well");
    clock.advance(10 * DAMAGE_LOG_MS);
    t.equal(counts.length, 4, "and then there is no more to say");
    log.found("page 601", 1);
    t.equal(counts.at(-1), pages + 1, "until there is");
  },
);

t.test("what is found in the next databases is said at once, and counted anew", async (t) => {
  const { clock, counts, log } = logScene();
  log.found("pages 1 and 2", 2);
  log.found("page 3", 1);
  log.clear();
  clock.advance(DAMAGE_LOG_MS);
  log.found("page 4", 1);
  t.strictSame(counts, [2, 1]);
});
