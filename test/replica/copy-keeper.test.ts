import { t } from "tap";
import { TrivetError } from "../../agent/platform/trivet-error.ts";
import { CopyKeeper } from "../../agent/replica/copy-keeper.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import { SnapshotServer } from "../../agent/replica/snapshot-server.ts";
import { encodeOpen, SNAPSHOT_OPEN } from "../../agent/replica/snapshot-wire.ts";
import type { LogPosition } from "../../agent/store/types.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { chanceFrom } from "../raft/chance.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { MemorySnapshots } from "./memory-snapshots.ts";

const [A, B, Z] = ["a", "b", "f"].map((letter) => letter.repeat(32)) as [string, string, string];
const [a, b, z] = [A, B, Z].map((node) => memberIdOf(node, "00000001")) as [string, string, string];

const filesOf = (text: string) => ({ "app.db": Buffer.from(text), "state.db": Buffer.from(text) });

/** Where calls wait until they are let go on, all at once. */
class Turnstile {
  #waiting: (() => void)[] = [];

  get isReached(): boolean {
    return this.#waiting.length > 0;
  }

  wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  letGo(): void {
    for (const goOn of this.#waiting.splice(0)) goOn();
  }
}

/**
 * Of a third member, with a copy up to 3. `a` gives one up to 50; `b`, which leads, one up to 60. Those in `refusing` give none, and
 * `damage` is what was found in the own one.
 */
function startKeeper(turnstiles: {
  readonly hold?: Turnstile;
  readonly install?: Turnstile;
  readonly damage?: string;
  readonly refusing?: Set<string>;
}) {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const random = { float: chanceFrom(1).float, bytes: (length: number) => new Uint8Array(length) };
  const common = { ...{ clusterId: "one", clock, random }, logger: { log: () => undefined } };
  const assertGiving = (node: string): void => {
    if (turnstiles.refusing?.has(node)) throw new TrivetError("not-serving", "its copy is not whole");
  };
  for (const [node, index] of [
    [A, 50],
    [B, 60],
  ] as const) {
    new SnapshotServer({
      ...common,
      ...{ store: new MemorySnapshots(index, filesOf(node)), transport: network.transportOf(node) },
      ...{ baseIndex: () => 0, assertServing: () => assertGiving(node) },
    });
  }
  const copy = new MemorySnapshots(3, filesOf(""));
  const installed: LogPosition[] = [];
  const failures: unknown[] = [];
  const applier = { isReleased: false };
  let damage = turnstiles.damage ?? null;
  const keeper = new CopyKeeper({
    ...common,
    store: {
      openSnapshot: () => copy.openSnapshot(),
      receiveSnapshot: async (manifest) => {
        const receiver = await copy.receiveSnapshot(manifest);
        const install = async (): Promise<void> => {
          await turnstiles.install?.wait();
          await receiver.install();
          damage = null;
        };
        return { ...receiver, install };
      },
      get toleratedDamage() {
        return damage;
      },
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
      hold: async () => {
        applier.isReleased = false;
        await turnstiles.hold?.wait();
      },
      release: () => {
        applier.isReleased = true;
      },
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
  const openFrom = (node: string) =>
    network.transportOf(A).request(node, SNAPSHOT_OPEN, encodeOpen({ clusterId: "one", minIndex: 0 }), {
      timeoutMs: 1_000,
      signal: new AbortController().signal,
    });
  return { keeper, copy, installed, failures, applier, openFrom, run };
}

t.test("CopyKeeper installs for a copy that was found to differ meanwhile only what will do", async (t) => {
  const hold = new Turnstile();
  const { keeper, copy, installed, failures, run } = startKeeper({ hold });
  // Its log begins behind ours, though another one leads by now: any copy of it will do.
  keeper.needed(a);
  await run(() => hold.isReached);
  t.equal(copy.discarded, 0);
  keeper.quarantine("diverged");
  hold.letGo();
  await run(() => hold.isReached);
  t.equal(copy.discarded, 1);
  hold.letGo();
  await run(() => installed.length > 0);
  t.match(installed, [{ index: 60 }], "the present leader's");
  t.equal(keeper.fault, null);
  t.strictSame(failures, []);
  keeper.stop();
});

t.test(
  "CopyKeeper fetches once more where a copy is found to differ while another one is installed",
  async (t) => {
    const install = new Turnstile();
    const { keeper, installed, failures, applier, run } = startKeeper({ install });
    keeper.needed(a);
    await run(() => install.isReached);
    keeper.quarantine("diverged");
    install.letGo();
    await run(() => install.isReached);
    t.match(installed, [{ index: 50 }], "that could not be taken back");
    t.equal(keeper.fault, "diverged", "it is not served: it need not be the leader's");
    t.notOk(applier.isReleased);
    install.letGo();
    await run(() => installed.length > 1);
    t.match(installed[1], { index: 60 }, "the present leader's");
    t.equal(keeper.fault, null);
    t.ok(applier.isReleased);
    t.strictSame(failures, []);
    keeper.stop();
  },
);

const DAMAGE = "app.db: page 4 of 9 is not what was written";

t.test(
  "CopyKeeper replaces a copy with a damaged page by one of any member that has a whole one",
  async (t) => {
    const install = new Turnstile();
    const refusing = new Set([B]);
    const { keeper, installed, failures, applier, run } = startKeeper({ install, damage: DAMAGE, refusing });
    t.notOk(keeper.isWhole);
    keeper.progressed();
    await run(() => install.isReached);
    t.equal(keeper.fault, "doubtful", "it is not served while a better one comes");
    t.notOk(applier.isReleased);
    install.letGo();
    await run(() => installed.length > 0);
    t.match(installed, [{ index: 50 }], "of a follower: the leader's is damaged, too");
    await run(() => applier.isReleased);
    t.equal(keeper.fault, null);
    t.ok(keeper.isWhole);
    t.strictSame(failures, []);
    keeper.stop();
  },
);

t.test(
  "CopyKeeper serves a copy with a damaged page while nobody has a whole one, and gives it to nobody",
  async (t) => {
    const refusing = new Set([A, B]);
    const { keeper, copy, installed, failures, applier, openFrom, run } = startKeeper({
      damage: DAMAGE,
      refusing,
    });
    const faults = new Set<unknown>();
    let tries = 0;
    keeper.progressed();
    await run(() => {
      faults.add(keeper.fault);
      if (applier.isReleased) tries += 1;
      applier.isReleased = false;
      return tries > 5;
    });
    t.strictSame([...faults], [null], "it was served all the time");
    const refused = t.rejects(openFrom(Z), {
      code: "not-serving",
      message: /page of this node's copy is damaged/,
    });
    await run(() => false);
    await refused;
    t.equal(copy.opened, 0, "without a look at all of it");
    refusing.delete(A);
    await run(() => installed.length > 0);
    t.match(installed, [{ index: 50 }], "once somebody has");
    t.strictSame(failures, []);
    keeper.stop();
  },
);

t.test(
  "CopyKeeper finds a copy to differ whose damaged page is being replaced: only the leader's will do",
  async (t) => {
    const install = new Turnstile();
    const refusing = new Set([B]);
    const { keeper, installed, failures, run } = startKeeper({ install, damage: DAMAGE, refusing });
    keeper.progressed();
    await run(() => install.isReached);
    keeper.quarantine("diverged");
    refusing.delete(B);
    install.letGo();
    await run(() => install.isReached);
    t.equal(keeper.fault, "diverged");
    install.letGo();
    await run(() => installed.length > 1);
    t.match(installed[1], { index: 60 });
    t.equal(keeper.fault, null);
    t.strictSame(failures, []);
    keeper.stop();
  },
);
