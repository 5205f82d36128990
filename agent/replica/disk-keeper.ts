import type { Clock, Timer } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { MemberId } from "../raft/types.ts";
import { describeRoom } from "./disk-state.ts";
import type { DiskWatch } from "./disk-watch.ts";
import type { Leadership } from "./leadership.ts";
import type { Proposer } from "./proposer.ts";
import type { Replica } from "./replica.ts";
import type { ReplicaStatus } from "./replica-status.ts";
import type { MemberReport } from "./report-wire.ts";
import { notLeader } from "./sql-errors.ts";
import { successorAmong } from "./successor.ts";

/** How often a leader that is short of space looks for another one. */
const LOOK_MS = 500;
const HAND_OVER_MS = 2_000;

export interface DiskKeeperOptions {
  readonly replica: Pick<Replica, "pauseStoring" | "resumeStoring"> & {
    readonly leadership: Pick<Leadership, "isLeader" | "handOver">;
    readonly proposer: Pick<Proposer, "refuseWrites">;
    status(): Pick<ReplicaStatus, "voters" | "peers">;
  };
  readonly disk: DiskWatch;
  /** What the others told of their disks; see `MemberReports`. */
  readonly reports: () => ReadonlyMap<MemberId, MemberReport>;
  readonly clock: Clock;
  readonly onFailed: (error: unknown) => void;
}

/** Acts on what the disk of this member has left; see `DiskState`. */
export class DiskKeeper {
  readonly #options: DiskKeeperOptions;
  readonly #stopListening: () => void;
  #timer: Timer;
  #isHandingOver = false;
  #isHeld = false;

  constructor(options: DiskKeeperOptions) {
    const { replica, disk, clock } = options;
    this.#options = options;
    replica.proposer.refuseWrites(() => this.#refusal());
    this.#stopListening = disk.onChange(() => this.#act());
    this.#timer = clock.setTimer(0, () => this.#tick());
  }

  stop(): void {
    this.#stopListening();
    this.#timer.cancel();
  }

  #tick(): void {
    this.#timer = this.#options.clock.setTimer(LOOK_MS, () => this.#tick());
    this.#act();
  }

  #act(): void {
    const { replica, disk } = this.#options;
    const mustHold = disk.state === "critical";
    if (mustHold !== this.#isHeld) {
      this.#isHeld = mustHold;
      if (mustHold) replica.pauseStoring();
      else replica.resumeStoring();
    }
    if (disk.state !== "ok") this.#maybeHandOver();
  }

  #maybeHandOver(): void {
    const { replica, onFailed } = this.#options;
    if (!replica.leadership.isLeader || this.#isHandingOver) return;
    const successor = this.#successor();
    if (successor === null) return;
    // mark: disk: a leader that is short of space hands over
    this.#isHandingOver = true;
    replica.leadership
      .handOver(HAND_OVER_MS, successor)
      .catch((error: unknown) => onFailed(error))
      .finally(() => {
        this.#isHandingOver = false;
      });
  }

  #successor(): MemberId | null {
    const { replica, reports } = this.#options;
    return successorAmong(replica.status(), reports(), ({ disk, isStuck }) => disk === "ok" && !isStuck);
  }

  /** Why this member takes no client's write, if it leads. */
  #refusal(): TrivetError | null {
    const { disk } = this.#options;
    if (disk.state === "ok") return null;
    // Somebody else takes it in a moment.
    if (this.#successor() !== null) return notLeader();
    // mark: disk: a write is refused for lack of space
    return diskFull(disk);
  }
}

function diskFull({
  freeBytes,
  watermarkBytes,
}: Pick<DiskWatch, "freeBytes" | "watermarkBytes">): TrivetError {
  const [free, watermark] = [describeRoom(freeBytes), describeRoom(watermarkBytes)];
  return new TrivetError(
    "disk-full",
    `Nothing was done: the disk of the leader has ${free} left, and no other voter has more than its watermark. Free space on the data's file systems, to more than ${watermark} (disk-watermark); writes go on by themselves then.`,
  );
}
