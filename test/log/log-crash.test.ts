import t, { type Test } from "tap";
import type { DurableLog } from "../../agent/log/durable-log.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { Random } from "../../agent/platform/random.ts";
import { isTrivetError } from "../../agent/platform/trivet-error.ts";
import { openLog, randomInt, seededRandom } from "./log-fixture.ts";
import {
  applyStep,
  EMPTY_MODEL,
  isRecoveredAs,
  type ModelState,
  type ModelStep,
  randomStep,
} from "./log-model.ts";

/** All that a log may hold after a crash: `states[acknowledged]` or a later one. */
class History {
  readonly states: ModelState[];
  acknowledged = 0;
  failures = 0;

  constructor(start: ModelState) {
    this.states = [start];
  }

  get newest(): ModelState {
    return this.states.at(-1) ?? EMPTY_MODEL;
  }

  async run(log: DurableLog, step: ModelStep): Promise<void> {
    const position = this.states.push(applyStep(this.newest, step)) - 1;
    try {
      await (step.kind === "append" ? log.append(step.batch) : log.compact(step.base));
      this.acknowledged = Math.max(this.acknowledged, position);
    } catch (error) {
      if (!isTrivetError(error, "log-failed")) throw error;
      this.failures += 1;
    }
  }
}

/** One life of a process: opens the log, does its steps in bursts. Resolves when all is done or the log has failed. */
async function live(
  directory: MemoryDirectory,
  history: History,
  random: Random,
  steps: number,
): Promise<void> {
  const { log } = await openLog(directory);
  for (let done = 0; done < steps && history.failures === 0; ) {
    const burst = Array.from({ length: 1 + randomInt(random, 4) }, () =>
      history.run(log, randomStep(random, history.newest)),
    );
    done += burst.length;
    await Promise.all(burst);
  }
  if (history.failures === 0 && random.float() < 0.5) await log.close();
}

interface Ending {
  readonly ended: boolean;
  readonly calls: number;
}

/** Lets a process live until its `number`th call of the disk, which is the last thing it does. */
async function liveUntil(
  directory: MemoryDirectory,
  number: number,
  verdict: "halt" | "EIO",
  life: () => Promise<void>,
): Promise<Ending> {
  let calls = 0;
  const halted = new Promise<Ending>((resolve) => {
    directory.onCall = (call) => {
      calls = call.number;
      if (call.number !== number) return undefined;
      if (verdict === "halt") resolve({ ended: false, calls });
      return verdict;
    };
  });
  const ended = life().then(() => ({ ended: true, calls }));
  const ending = await Promise.race([halted, ended]);
  directory.onCall = undefined;
  return ending;
}

function check(
  t: Test,
  history: History,
  recovered: Parameters<typeof isRecoveredAs>[1],
  what: string,
): ModelState {
  const found = history.states.findLastIndex((state) => isRecoveredAs(state, recovered));
  if (found < history.acknowledged) {
    t.fail(
      `${what}: found state ${found} of ${history.states.length}, acknowledged ${history.acknowledged}`,
      { recovered },
    );
  }
  const { base, entries, hardState } = recovered;
  return { base, entries, hardState };
}

t.test(
  "DurableLog: a crash at each call of the disk loses nothing acknowledged and invents nothing",
  async (t) => {
    let crashes = 0;
    for (let workload = 0; workload < 6; workload += 1) {
      for (let number = 1; ; number += 1) {
        const directory = new MemoryDirectory();
        const history = new History(EMPTY_MODEL);
        const { ended } = await liveUntil(directory, number, "halt", () =>
          live(directory, history, seededRandom(workload), 30),
        );
        const after = directory.crash(seededRandom(number * 1000 + workload));
        const { recovered } = await openLog(after);
        check(t, history, recovered, `workload ${workload}, call ${number}`);
        crashes += 1;
        if (ended) break;
      }
    }
    t.ok(crashes > 500, `${crashes} crashes`);
  },
);

t.test(
  "DurableLog: many lives, crashes, kills and failed calls on one disk, recovery included",
  async (t) => {
    let torn = 0;
    let failed = 0;
    for (let seed = 0; seed < 120; seed += 1) {
      const random = seededRandom(seed);
      let directory = new MemoryDirectory();
      let state = EMPTY_MODEL;
      for (let life = 0; life < 8; life += 1) {
        const history = new History(state);
        const verdict = random.float() < 0.7 ? "halt" : "EIO";
        const number = 1 + randomInt(random, 80);
        await liveUntil(directory, number, verdict, () =>
          live(directory, history, random, 20).catch((error: unknown) => {
            // The start itself failed; it may have failed for what the disk said, and for nothing else.
            if (!isTrivetError(error, "log-failed") && !isTrivetError(error, "log-corrupt")) throw error;
            if (isTrivetError(error, "log-corrupt") && !/EIO/.test(error.message)) throw error;
          }),
        );
        failed += history.failures;
        directory = random.float() < 0.3 ? directory.kill() : directory.crash(random);
        // What was read once must be there after any later crash too.
        const { recovered } = await openLog(directory);
        torn += recovered.tornBytes > 0 ? 1 : 0;
        state = check(t, history, recovered, `seed ${seed}, life ${life}`);
        directory = directory.crash(random);
        const again = await openLog(directory);
        if (!isRecoveredAs(state, again.recovered))
          t.fail(`seed ${seed}, life ${life}: read twice, not the same`);
        directory = directory.crash(random);
      }
    }
    t.ok(torn > 10, `${torn} torn tails`);
    t.ok(failed > 20, `${failed} failed calls`);
  },
);
