import type { Bus } from "../bus/bus.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, type TrivetError } from "../platform/trivet-error.ts";
import type { ReplicaOptions } from "../replica/replica.ts";
import type { DataDirectory } from "./data-directory.ts";
import { untilExpendable } from "./rejoin.ts";

export type Storage = Pick<ReplicaOptions, "log" | "recovered" | "store">;
/** Opens the log and the databases of the node. May be called again after a rejection. */
export type OpenStorage = () => Promise<Storage>;

/** What is wrong with the log, and why nothing was done about it yet. */
export interface Damage {
  readonly error: TrivetError;
  readonly waitsFor: string;
}

/** After these the member must not speak any more: it may have forgotten what it promised. */
const LOG_DAMAGE: readonly string[] = ["log-corrupt", "log-lost"];

/**
 * Opens the storage. Where the log is damaged and the node has others in its cluster, waits until a quorum of them has
 * confirmed that it does without, puts what is damaged into quarantine, and opens an empty one, for another member.
 *
 * Rejects as `open` does, and with the reason of `signal` if that ends the wait.
 */
export async function openSoundStorage(options: {
  readonly open: OpenStorage;
  readonly data: DataDirectory;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Null once it is over. */
  readonly onDamage: (damage: Damage | null) => void;
}): Promise<Storage> {
  const { open, data, bus, clock, random, logger, signal, onDamage } = options;
  try {
    return await open();
  } catch (error) {
    const { clusterId, hasCompanions, identity, memberId } = data;
    if (!isTrivetError(error) || !LOG_DAMAGE.includes(error.code)) throw error;
    // Whatever this node held, nobody else has it.
    if (clusterId === null || !hasCompanions) throw error;
    // mark: membership: a member with a damaged log waits for the others
    logger.log("error", "This member does not vote any more: its log is damaged.", { reason: error.message });
    const onWait = (waitsFor: string): void => onDamage({ error, waitsFor });
    onWait("asking the leader");
    const { nodeId } = identity;
    await untilExpendable({ bus, nodeId, clusterId, clock, signal, onWait }, memberId);
    const quarantine = await data.beginAnew(random);
    logger.log("warn", "A quorum of others holds the data: this node comes back as a new member.", {
      quarantine,
      member: data.memberId,
    });
    onDamage(null);
    return open();
  }
}
