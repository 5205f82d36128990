import t from "tap";
import {
  SCRUB_DELAY_MS,
  SCRUB_PAUSE_MS,
  SCRUB_PERIOD_MS,
  SCRUB_SLICE_PAGES,
} from "../../agent/store/limits.ts";
import { Scrubber } from "../../agent/store/scrubber.ts";
import type { SnapshotFileName } from "../../agent/store/snapshot.ts";
import { ManualClock } from "../platform/manual-clock.ts";

/** Databases of so many slices, of which the second file is tiny. */
function scrubScene(slices: number) {
  const clock = new ManualClock();
  const size = { slices };
  let passes = 0;
  let looks = 0;
  const scrubber = new Scrubber({
    clock,
    scrub: async (name: SnapshotFileName, page: number) => {
      looks += 1;
      const pages = (name === "app.db" ? size.slices : 1) * SCRUB_SLICE_PAGES;
      const next = page + SCRUB_SLICE_PAGES;
      if (next <= pages) return { next, pages };
      if (name === "state.db") passes += 1;
      return { next: null, pages };
    },
  });
  /** Lets time pass as timers come due, each slice being told of before the next. */
  const pass = async (ms: number): Promise<void> => {
    for (let leftMs = ms; leftMs > 0; ) {
      const stepMs = Math.min(leftMs, clock.nextTimerMs ?? leftMs);
      clock.advance(stepMs);
      leftMs -= stepMs;
      for (let turn = 0; turn < 3; turn += 1) await null;
    }
  };
  return { size, scrubber, pass, clock, counts: () => ({ passes, looks }) };
}

t.test("all is looked at soon after the start, and then once in a period", async (t) => {
  const { pass, counts } = scrubScene(20);
  await pass(SCRUB_DELAY_MS + 21 * SCRUB_PAUSE_MS);
  t.equal(counts().passes, 1);
  await pass(10 * SCRUB_PERIOD_MS);
  t.equal(counts().passes, 11);
});

t.test("a database that grows is looked at as often as before", async (t) => {
  const { size, pass, counts } = scrubScene(1);
  await pass(SCRUB_PERIOD_MS);
  const before = counts().passes;
  size.slices = 4_096;
  await pass(10 * SCRUB_PERIOD_MS);
  const { passes } = counts();
  t.ok(passes - before >= 9, `${passes - before} passes in ten periods`);
});

t.test("nothing is looked at behind stop()", async (t) => {
  const { scrubber, pass, counts, clock } = scrubScene(20);
  await pass(SCRUB_DELAY_MS);
  scrubber.stop();
  const { looks } = counts();
  await pass(SCRUB_PERIOD_MS);
  t.equal(counts().looks, looks);
  t.equal(clock.timers, 0);
});
