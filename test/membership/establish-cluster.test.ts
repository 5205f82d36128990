import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Test, t } from "tap";
import { DurableLog } from "../../agent/log/durable-log.ts";
import { DataDirectory } from "../../agent/membership/data-directory.ts";
import { type EstablishOptions, establishCluster } from "../../agent/membership/establish-cluster.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { systemRandom as random } from "../../agent/platform/random.ts";
import { interceptedDirectory } from "../platform/intercepted-directory.ts";
import { ManualClock } from "../platform/manual-clock.ts";

const VOTERS = ["a", "b", "c"];

/** A founder whose promises last for 10 s from now on, and whose disk takes its time. */
async function founder(t: Test, slow: { readonly logMs?: number; readonly recordMs?: number }) {
  const path = await mkdtemp(join(tmpdir(), "trivet-test-"));
  const clock = new ManualClock();
  const data = await DataDirectory.open(path, random, clock);
  t.teardown(async () => {
    await data.close();
    await rm(path, { recursive: true, force: true });
  });
  let isSlow = false;
  const disk = interceptedDirectory(new MemoryDirectory(), (operation) => {
    if (isSlow && operation === "sync") clock.jump(slow.logMs ?? 0);
  });
  const { log } = await DurableLog.open({ directory: disk, logger: { log: () => undefined } });
  isSlow = true;
  const joinCluster = data.joinCluster.bind(data);
  data.joinCluster = async (...record) => {
    clock.jump(slow.recordMs ?? 0);
    await joinCluster(...record);
  };
  const options: EstablishOptions = { voters: VOTERS, endMs: 10_000, log, data, clock, random };
  return { data, options };
}

t.test("establishCluster() makes the log and the record of the founder", async (t) => {
  const { data, options } = await founder(t, { logMs: 4_000, recordMs: 4_000 });
  const { clusterId, recovered } = await establishCluster(options);
  t.match(clusterId, /^[0-9a-f]{32}$/);
  t.match(recovered.entries, [{ index: 1, configuration: { voters: VOTERS } }]);
  t.equal(data.clusterId, clusterId);
  t.ok(data.hasCompanions);
});

for (const slow of [{ logMs: 20_000 }, { recordMs: 20_000 }, { logMs: 6_000, recordMs: 6_000 }])
  t.test(
    `establishCluster() founds none on a disk that outlives the promises: ${JSON.stringify(slow)}`,
    async (t) => {
      const { data, options } = await founder(t, slow);
      await t.rejects(establishCluster(options), { code: "founding-late" });
      t.equal(data.clusterId, null, "the next start looks around again");
      t.notOk(data.hasCompanions);
    },
  );

t.test("establishCluster() of a founder that nobody promised anything has no deadline", async (t) => {
  const { data, options } = await founder(t, { logMs: 20_000 });
  const { clusterId } = await establishCluster({ ...options, voters: ["a"], endMs: null });
  t.equal(data.clusterId, clusterId);
  t.notOk(data.hasCompanions);
});
