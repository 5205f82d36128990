import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { t } from "tap";
import { Bus } from "../../agent/bus/bus.ts";
import { NodeStorage } from "../../agent/cli/node-storage.ts";
import { DataDirectory } from "../../agent/membership/data-directory.ts";
import { Membership } from "../../agent/membership/membership.ts";
import { systemClock } from "../../agent/platform/clock.ts";
import { systemRandom as random } from "../../agent/platform/random.ts";
import { DiskWatch } from "../../agent/replica/disk-watch.ts";
import { until } from "../cluster/until.ts";
import { ManualClock } from "../platform/manual-clock.ts";

const logger = { log: () => undefined };

for (const { expect, state, listenersMin } of [
  // What a member listens to, down to its snapshots.
  { expect: 1, state: "takes part", listenersMin: 10 },
  { expect: 2, state: "waits for another node", listenersMin: 3 },
])
  t.test(`stop() of a node that ${state} leaves no timer and no listener behind`, async (t) => {
    const path = await mkdtemp(join(tmpdir(), "trivet-test-"));
    const data = await DataDirectory.open(path, random, systemClock);
    const storage = new NodeStorage({ data, logger, clock: systemClock });
    const clock = new ManualClock();
    const onFailed = (error: unknown): void => void t.fail("failed", { error });
    const bus = await Bus.open({
      ...{ cluster: "one", nodeId: data.identity.nodeId, session: 1, listen: null, seeds: [] },
      ...{ clock: systemClock, random, logger },
    });
    t.teardown(async () => {
      await bus.close();
      await storage.close();
      await data.close();
      await rm(path, { recursive: true, force: true });
    });
    const listeners = countListeners(bus);
    const space = { freeBytes: async () => 0 };
    const membership = new Membership({
      node: { version: "1", name: "a", broker: null, api: () => null },
      ...{ clusterName: "one", expect, hasSeeds: false, logRetainBytes: 1 << 20 },
      timing: { heartbeatMs: 150, electionMs: 900, electionMaxMs: 900 },
      diskWatch: new DiskWatch({ space, watermarkBytes: 0, clock, logger, onFailed }),
      ...{ data, storage, bus, clock, random, logger, onFailed },
    });
    const started = membership.start();
    if (expect === 1) await started;
    else await until("it looks for others", 10_000, async () => (listeners.size === 3 ? true : null));
    t.ok(listeners.size >= listenersMin, `${listeners.size} listeners`);
    t.ok(clock.timers > 1);
    membership.stop();
    if (expect > 1) await t.rejects(started, { code: "stopping" });
    // What consensus had put off for a moment has no effect.
    clock.advance(0);
    t.equal(clock.timers, 0);
    t.equal(listeners.size, 0);
  });

/** Who listens on the bus, to peers, datagrams and requests, kept up to date. */
function countListeners(bus: Bus): ReadonlySet<unknown> {
  const listeners = new Set<unknown>();
  const counted = (stop: () => void): (() => void) => {
    const listener = {};
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      stop();
    };
  };
  const [onPeer, onDatagram, handle] = [bus.onPeer.bind(bus), bus.onDatagram.bind(bus), bus.handle.bind(bus)];
  bus.onPeer = (...args) => counted(onPeer(...args));
  bus.onDatagram = (...args) => counted(onDatagram(...args));
  bus.handle = (...args) => counted(handle(...args));
  return listeners;
}
