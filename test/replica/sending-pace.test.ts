import { type Test, t } from "tap";
import { entryBytes } from "../../agent/raft/entry-log.ts";
import type { Entry } from "../../agent/raft/types.ts";
import { LogRetention } from "../../agent/replica/log-retention.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import { SnapshotFetcher } from "../../agent/replica/snapshot-fetcher.ts";
import { SnapshotServer } from "../../agent/replica/snapshot-server.ts";
import { PIECE_BYTES_MAX } from "../../agent/replica/snapshot-wire.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { chanceFrom } from "../raft/chance.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { MemorySnapshots } from "./memory-snapshots.ts";

/** Writes go on, and the copy gets there: a snapshot is opened and sent while clients write as fast as they may. */

const [SOURCE, RECEIVER] = ["a".repeat(32), "f".repeat(32)] as const;
const STEP_MS = 10;
const WRITES_PER_STEP = 10;
const PIECES = 400;
const PIECE_MS = 1_000;
const ENTRY_BYTES = entryBytes({ kind: "noop", index: 1, term: 1 });
/** Four seconds of writes: the bound is sixteen, and the transfer takes a hundred. */
const RETAIN_BYTES = 4 * 1_000 * ENTRY_BYTES;

/** The log of a leader, all of it applied, and durable in the databases but for what a snapshot keeps from being. */
class LeaderLog {
  firstIndex = 1;
  lastIndex = 100;
  pinnedIndex: number | null = null;

  get logBytes(): number {
    return (this.lastIndex - this.firstIndex + 1) * ENTRY_BYTES;
  }

  get applicableIndex(): number {
    return this.lastIndex;
  }

  get durableIndex(): number {
    return this.pinnedIndex ?? this.lastIndex;
  }

  /** The last one of them is enough for who drops them. */
  entries(from: number, to: number, bytesMax: number): readonly Entry[] {
    const count = Math.max(1, Math.min(to - from + 1, Math.floor(bytesMax / ENTRY_BYTES)));
    return [{ kind: "noop", index: from + count - 1, term: 1 }];
  }
}

/** Databases that take `openMs` to be opened for others; until that is closed, nothing more becomes durable in them. */
class LeaderSnapshots extends MemorySnapshots {
  readonly #log: LeaderLog;
  readonly #opening: () => Promise<void>;

  constructor(log: LeaderLog, opening: () => Promise<void>) {
    super(1, { "app.db": new Uint8Array(PIECES * PIECE_BYTES_MAX).fill(3), "state.db": new Uint8Array(10) });
    this.#log = log;
    this.#opening = opening;
  }

  override async openSnapshot(): ReturnType<MemorySnapshots["openSnapshot"]> {
    this.index = this.#log.lastIndex;
    this.#log.pinnedIndex = this.index;
    await this.#opening();
    const snapshot = await super.openSnapshot();
    return {
      ...snapshot,
      close: async () => {
        this.#log.pinnedIndex = null;
        await snapshot.close();
      },
    };
  }
}

async function send(t: Test, openMs: number) {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  network.answerMs = (method) => (method === "snapshot/read" ? PIECE_MS : 1);
  const random = { float: chanceFrom(1).float, bytes: (length: number) => new Uint8Array(length).fill(7) };
  const logger = { log: () => undefined };
  const onFailed = (error: unknown): void => {
    t.fail(`${error}`);
  };
  const common = { clusterId: "one", clock, random, logger };
  const log = new LeaderLog();
  const opening = (): Promise<void> => new Promise((resolve) => clock.setTimer(openMs, resolve));
  const server = new SnapshotServer({
    ...common,
    store: new LeaderSnapshots(log, opening),
    transport: network.transportOf(SOURCE),
    baseIndex: () => log.firstIndex - 1,
    assertServing: () => undefined,
  });
  const retention = new LogRetention({
    ...{ clock, logger, onFailed, retainBytes: RETAIN_BYTES },
    log: () => log,
    appliedIndex: () => log.lastIndex,
    mayDrop: () => true,
    checkpoint: async () => ({ index: log.durableIndex, term: 1 }),
    heldPosition: () => server.heldPosition,
    sentFraction: () => server.sentFraction,
    neededFrom: () => Number.POSITIVE_INFINITY,
    endSnapshot: () => server.end(),
    compact: async (base) => {
      log.firstIndex = base.index + 1;
    },
  });
  let isDone = false;
  const fetcher = new SnapshotFetcher({
    ...common,
    onFailed,
    store: new MemorySnapshots(0, { "app.db": new Uint8Array(0), "state.db": new Uint8Array(0) }),
    transport: network.transportOf(RECEIVER),
    member: () => ({
      id: memberIdOf(RECEIVER, "00000001"),
      leader: memberIdOf(SOURCE, "00000001"),
      configuration: { voters: [], outgoing: [], learners: [] },
      ...{ baseIndex: 0, commitIndex: 0, appliedIndex: 0 },
      ...{ fault: isDone ? null : "empty", hasDamage: false },
    }),
    ...{ onOpened: async () => undefined, onIdle: () => undefined },
    install: async (receiver, { position }) => {
      await receiver.install();
      isDone = position.index >= log.firstIndex - 1;
    },
  });
  fetcher.want({ reason: "empty" });
  let [wroteMs, standMs] = [0, 0];
  for (; !isDone && clock.nowMs() < 600_000; clock.advance(STEP_MS)) {
    for (let nth = 0; nth < WRITES_PER_STEP && !retention.isOutrun; nth++) {
      log.lastIndex += 1;
      wroteMs = clock.nowMs();
    }
    standMs = Math.max(standMs, clock.nowMs() - wroteMs);
    retention.maybeRun();
    for (let turn = 0; turn < 12; turn++) await Promise.resolve();
  }
  fetcher.stop();
  await server.stop();
  return { isDone, standMs };
}

for (const openMs of [1_000, 20_000]) {
  t.test(`a copy gets to its receiver, and writes go on: it takes ${openMs} ms to open`, async (t) => {
    const { isDone, standMs } = await send(t, openMs);
    t.ok(isDone, "within ten minutes, and the log goes on behind it");
    t.ok(standMs < 10_000, `no write for ${standMs} ms`);
  });
}
