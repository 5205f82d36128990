import { type Test, t } from "tap";
import { DurableLog } from "../../agent/log/durable-log.ts";
import { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import { NO_CONFIGURATION } from "../../agent/raft/types.ts";
import { Consensus } from "../../agent/replica/consensus.ts";
import { foundCluster } from "../../agent/replica/found-cluster.ts";
import { Leadership } from "../../agent/replica/leadership.ts";
import { memberIdOf } from "../../agent/replica/member-id.ts";
import type { CopyFault } from "../../agent/replica/snapshot-want.ts";
import { Waiters } from "../../agent/replica/waiters.ts";
import { ManualClock } from "../platform/manual-clock.ts";
import { chanceFrom } from "../raft/chance.ts";
import { MemoryNetwork } from "./memory-network.ts";

export const ELECTION_MS = 900;
const TIMING = { heartbeatMs: 150, electionMs: ELECTION_MS, electionMaxMs: ELECTION_MS };
export const NODES = ["a", "b", "c"].map((letter) => letter.repeat(32));

/** The consensus of three members on disks and a network in memory. Time passes only in `run`. */
export class Trio {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly members: Consensus[] = [];
  /** Of the member in the same place. */
  readonly leaderships: Leadership[] = [];
  readonly failures: unknown[] = [];
  /** Of the members: why their copy of the data is out of use. */
  readonly copies: { fault: CopyFault | null }[] = [];
  /** The logs of these members take no entries. */
  readonly full = new Set<number>();
  /** A command that was proposed to some member waits for its answer. */
  isAnswering = false;
  /** Called by each member after every batch of inputs. */
  onProgress: (nth: number) => void = () => undefined;

  /** The first node founds the cluster; the others learn of it through the log. */
  async start(clusterIds: readonly string[] = ["one", "one", "one"]): Promise<void> {
    const memberIds = NODES.map((nodeId, nth) => memberIdOf(nodeId, `0000000${nth}`));
    for (const [nth, memberId] of memberIds.entries()) {
      const logger = { log: () => undefined };
      const { log, recovered } = await DurableLog.open({ directory: new MemoryDirectory(), logger });
      const isFounder = nth === 0;
      const random = { float: chanceFrom(nth).float, bytes: (length: number) => new Uint8Array(length) };
      const { clock } = this;
      const waiters = new Waiters(clock);
      const consensus = new Consensus({
        clusterId: clusterIds[nth] ?? "one",
        memberId,
        timing: TIMING,
        recovered: isFounder ? await foundCluster(log, memberIds) : recovered,
        configuration: NO_CONFIGURATION,
        isFounder,
        log,
        entryRefusal: () => (this.full.has(nth) ? "There is no room." : null),
        transport: this.network.transportOf(NODES[nth] ?? ""),
        ...{ clock, random, logger },
        onProgress: () => {
          this.onProgress(nth);
          waiters.changed();
        },
        onSnapshotNeeded: () => undefined,
        onRestored: () => undefined,
        onRead: () => undefined,
        onFailed: (error) => this.failures.push(error),
      });
      this.members.push(consensus);
      const copy = { fault: null };
      this.copies.push(copy);
      const parts = { consensus, copy, waiters, clock, random, logger };
      this.leaderships.push(new Leadership({ ...parts, isAnswering: () => this.isAnswering }));
    }
  }

  /** Lets `ms` pass, millisecond by millisecond, with everything that this brings. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed++) {
      this.clock.advance(1);
      // Appends to the log in memory end with promises only.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  stop(): void {
    for (const member of this.members) member.stop();
    for (const leadership of this.leaderships) leadership.stop();
  }

  roles(): readonly string[] {
    return this.members.map(({ raft }) => raft.role);
  }

  terms(): readonly number[] {
    return this.members.map(({ raft }) => raft.term);
  }
}

/** A test on a fresh trio, in which no invariant may break. */
export function testTrio(
  name: string,
  run: (t: Test, trio: Trio) => Promise<void>,
  clusterIds?: readonly string[],
): void {
  t.test(name, async (t) => {
    const trio = new Trio();
    await trio.start(clusterIds);
    await run(t, trio);
    t.strictSame(trio.failures, [], "no invariant broke");
    trio.stop();
    // What was under way before arrives, and has no effect.
    await trio.run(5);
    t.equal(trio.clock.timers, 0, "no timer is left");
    t.equal(trio.network.listeners, 0, "nobody listens any more");
  });
}
