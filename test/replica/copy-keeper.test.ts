import { t } from "tap";
import { CopyKeeper } from "../../agent/replica/copy-keeper.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import { SnapshotServer } from "../../agent/replica/snapshot-server.ts";
import type { LogPosition } from "../../agent/store/types.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { chanceFrom } from "../raft/chance.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { MemorySnapshots } from "./memory-snapshots.ts";

const [A, B, Z] = ["a", "b", "f"].map((letter) => letter.repeat(32)) as [string, string, string];
const [a, b, z] = [A, B, Z].map((node) => memberIdOf(node, "00000001")) as [string, string, string];

const filesOf = (text: string) => ({ "app.db": Buffer.from(text), "state.db": Buffer.from(text) });

t.test("CopyKeeper installs for a copy that was found to differ meanwhile only what will do", async (t) => {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const random = { float: chanceFrom(1).float, bytes: (length: number) => new Uint8Array(length) };
  const common = { ...{ clusterId: "one", clock, random }, logger: { log: () => undefined } };
  const failures: unknown[] = [];
  for (const [node, index] of [
    [A, 50],
    [B, 60],
  ] as const) {
    new SnapshotServer({
      ...common,
      ...{ store: new MemorySnapshots(index, filesOf(node)), transport: network.transportOf(node) },
      ...{ baseIndex: () => 0, assertServing: () => undefined },
    });
  }
  const copy = new MemorySnapshots(3, filesOf(""));
  const installed: LogPosition[] = [];
  let isHeld = false;
  let letGo = (): void => undefined;
  const keeper = new CopyKeeper({
    ...common,
    store: {
      openSnapshot: () => copy.openSnapshot(),
      receiveSnapshot: (manifest) => copy.receiveSnapshot(manifest),
      pendingInstall: null,
      finishInstall: async () => undefined,
    },
    transport: network.transportOf(Z),
    raft: () => ({
      ...{ id: z, leader: b, commitIndex: 3, base: { index: 0, term: 0 } },
      configuration: { voters: [a, b, z], outgoing: [], learners: [] },
    }),
    applier: {
      appliedIndex: 3,
      hold: () => {
        isHeld = true;
        return new Promise((resolve) => {
          letGo = resolve;
        });
      },
      release: () => undefined,
    },
    restore: () => false,
    onInstalled: (position) => installed.push(position),
    onFailed: (error) => failures.push(error),
  });
  const run = async (isDone: () => boolean): Promise<void> => {
    for (let passed = 0; passed < 60_000 && !isDone(); passed++) {
      clock.advance(1);
      for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    }
  };

  // Its log begins behind ours, though another one leads by now: any copy of it will do.
  keeper.needed(a);
  await run(() => isHeld);
  t.equal(copy.discarded, 0);
  const goOn = letGo;
  keeper.quarantine("diverged");
  isHeld = false;
  goOn();
  await run(() => isHeld);
  t.equal(copy.discarded, 1);
  letGo();
  await run(() => installed.length > 0);
  t.match(installed, [{ index: 60 }], "the present leader's");
  t.equal(keeper.fault, null);
  t.strictSame(failures, []);
  keeper.stop();
});
