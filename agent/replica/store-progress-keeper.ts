import type { Clock, Timer } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { MemberId } from "../raft/types.ts";
import type { Leadership } from "./leadership.ts";
import type { Proposer } from "./proposer.ts";
import { WHOLE_REHEARSAL_MS } from "./rehearsal-rules.ts";
import type { Replica } from "./replica.ts";
import { isStuck, type ReplicaStatus } from "./replica-status.ts";
import type { MemberReport } from "./report-wire.ts";
import { notLeader } from "./sql-errors.ts";
import { successorAmong } from "./successor.ts";

const LOOK_MS = 500;
/** Longer than an entry may take that is long by right, such as an index over a large table: then writes wait for it. */
const REFUSED_MS = 1.25 * WHOLE_REHEARSAL_MS;

export interface StoreProgressKeeperOptions {
  readonly replica: Pick<Replica, "applyingTo"> & {
    readonly leadership: Pick<Leadership, "isLeader" | "yieldTo">;
    readonly proposer: Pick<Proposer, "refuseAll">;
    status(): Pick<ReplicaStatus, "voters" | "peers" | "stalledMs" | "appliedIndex">;
  };
  /** What the others told of themselves; see `MemberReports`. */
  readonly reports: () => ReadonlyMap<MemberId, MemberReport>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Sees to it that nobody leads whose database is stuck: it answers no write, although heartbeats go on.
 *
 * An entry that takes long takes long everywhere, and no leader would be better than another. So leadership goes only to a voter that
 * tells of a result behind what this member is at: a slow statement moves nothing, and what hangs everywhere moves nothing either.
 */
export class StoreProgressKeeper {
  readonly #options: StoreProgressKeeperOptions;
  #timer: Timer;
  /** At the last look, too: the answer to a long query may be here, and not have been heard yet. */
  #wasStuck = false;
  #isStuck = false;

  constructor(options: StoreProgressKeeperOptions) {
    this.#options = options;
    options.replica.proposer.refuseAll(() => this.#refusal());
    this.#timer = options.clock.setTimer(LOOK_MS, () => this.#tick());
  }

  stop(): void {
    this.#timer.cancel();
  }

  #tick(): void {
    const { replica, clock } = this.#options;
    this.#timer = clock.setTimer(LOOK_MS, () => this.#tick());
    const isStuckNow = isStuck(replica.status());
    this.#tell(isStuckNow && this.#wasStuck);
    this.#wasStuck = isStuckNow;
    if (!this.#isStuck || !replica.leadership.isLeader) return;
    const successor = this.#successor();
    if (successor === null) return;
    // mark: replica: a leader whose database is stuck hands over
    replica.leadership.yieldTo(successor);
  }

  #tell(isStuckNow: boolean): void {
    if (isStuckNow === this.#isStuck) return;
    this.#isStuck = isStuckNow;
    const { replica, logger } = this.#options;
    const { appliedIndex, stalledMs } = replica.status();
    if (isStuckNow) logger.log("error", "The database of this node is stuck.", { appliedIndex, stalledMs });
    else logger.log("info", "The database of this node goes on.", { appliedIndex });
  }

  /** One that is past what this member is at, with a copy that it trusts, and goes on. */
  #successor(): MemberId | null {
    const { replica, reports } = this.#options;
    const { applyingTo } = replica;
    const isPast = ({ digests }: MemberReport): boolean => (digests.at(-1)?.index ?? -1) >= applyingTo;
    return successorAmong(
      replica.status(),
      reports(),
      (report) => report.disk === "ok" && !report.isStuck && isPast(report),
    );
  }

  /** Why this member takes no command, if it leads. */
  #refusal(): TrivetError | null {
    if (!this.#isStuck) return null;
    // Somebody else takes it in a moment.
    if (this.#successor() !== null) return notLeader();
    const { stalledMs } = this.#options.replica.status();
    return stalledMs > REFUSED_MS ? storeStuck(stalledMs) : null;
  }
}

function storeStuck(stalledMs: number): TrivetError {
  return new TrivetError(
    "store-stuck",
    `Nothing was done: the database of the leader has not answered for ${Math.round(stalledMs / 1_000)} s, and no other voter is known to be further. See \`trivet status\`, and look at the disks; writes go on by themselves once it answers.`,
  );
}
