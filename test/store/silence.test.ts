import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { t } from "tap";
import { planQuery } from "../../agent/store/query-plan.ts";
import { Silence } from "../../agent/store/silence.ts";
import { until } from "../cluster/until.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { ENDLESS, entry, logOf, PATIENT_MS, StoreNode, statement } from "./store-node.ts";

const faultyWorker = new URL("./faulty-worker.js", import.meta.url);

t.test("Silence counts from the first thing asked, or the last one done", async (t) => {
  const clock = new ManualClock();
  const silence = new Silence(clock);
  clock.advance(5);
  t.equal(silence.ms, 0);
  silence.asked();
  clock.advance(5);
  silence.asked();
  t.equal(silence.ms, 5);
  silence.answered(false);
  clock.advance(3);
  t.equal(silence.ms, 3);
  silence.excused();
  clock.advance(2);
  t.equal(silence.ms, 2);
  silence.answered(true);
  clock.advance(2);
  t.equal(silence.ms, 0);
});

t.test("a store whose disk hangs is silent until it goes on, whoever gave up meanwhile", async (t) => {
  const node = await StoreNode.create({ workerUrl: faultyWorker });
  t.teardown(() => node.remove());
  const { store } = node;
  await store.apply(logOf("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"));
  await store.checkpoint();
  t.equal(store.silentMs, 0);
  const pipe = join(node.directory, "pipe");
  await promisify(execFile)("mkfifo", [pipe]);
  const faults = join(node.directory, "faults");
  await writeFile(faults, "hang");
  const hanging = Promise.all([store.apply([entry(3, ["INSERT INTO t VALUES (2)"])]), store.checkpoint()]);
  const query = (): Promise<unknown> =>
    store.query(planQuery([statement("SELECT a FROM t")]), { timeoutMs: 50 });
  const isSilentFor = (ms: number): Promise<true> =>
    until(`silent for ${ms} ms`, PATIENT_MS, async () => (store.silentMs > ms ? true : null));
  await isSilentFor(100);
  await t.rejects(query());
  const silentMs = store.silentMs;
  t.ok(silentMs > 100, "a caller that gives up is no answer");
  await rm(faults);
  await writeFile(pipe, "");
  await hanging;
  await store.query(planQuery([statement("SELECT a FROM t")]), { timeoutMs: PATIENT_MS });
  await until("everything is answered", PATIENT_MS, async () => (store.silentMs === 0 ? true : null));
});

t.test("a store is not silent while a query takes its time", async (t) => {
  const node = await StoreNode.create();
  t.teardown(() => node.remove());
  const { store } = node;
  let silentMsMax = 0;
  let isOver = false;
  const endless = t.rejects(store.query(planQuery([ENDLESS]), { timeoutMs: 400 }), { code: "query-timeout" });
  const watched = until("the end of the query", PATIENT_MS, async () => {
    if (isOver) return true;
    silentMsMax = Math.max(silentMsMax, store.silentMs);
    return null;
  });
  await endless;
  isOver = true;
  await watched;
  t.ok(silentMsMax < 300, `${silentMsMax} ms`);
  const atEndMs = store.silentMs;
  t.ok(atEndMs < 300, `what it took is not the silence of the next thread: ${atEndMs} ms`);
  await until("the next thread", PATIENT_MS, async () => (store.silentMs === 0 ? true : null));
});
