import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { Random } from "../platform/random.ts";
import { isTrivetError, type TrivetError } from "../platform/trivet-error.ts";
import type { ReplicaOptions } from "../replica/replica.ts";
import type { DataDirectory } from "./data-directory.ts";
import type { Identity } from "./identity.ts";
import { type Asker, untilExpendable } from "./rejoin.ts";

export type Storage = Pick<ReplicaOptions, "log" | "recovered" | "store">;
/**
 * Opens the log and the databases of the node, which stand on it (`assertOneHistory`). May be called again after a rejection, which has
 * changed nothing of the log.
 */
export type OpenStorage = () => Promise<Storage>;
/** Whose databases they are. */
export interface StoreOwner {
  /** Told once why they will do nothing any more. */
  readonly onFailed?: (error: TrivetError) => void;
}

/** Where the log and the databases of the node are opened. */
export interface MemberStorage {
  open(owner: StoreOwner): ReturnType<OpenStorage>;
  /** May be opened again then. */
  close(): Promise<void>;
}

/** What is wrong with the storage, and why nothing was done about it yet. */
export interface Damage {
  readonly error: TrivetError;
  readonly waitsFor: string;
}

/** Whose storage it is, and what may be done where it is damaged: a part of `DataDirectory`. */
export interface DamagedData
  extends Pick<
    DataDirectory,
    "clusterId" | "hasCompanions" | "memberId" | "beginAnew" | "quarantineDatabases"
  > {
  readonly identity: Pick<Identity, "nodeId">;
}

/** How a node goes on without what is damaged, once a quorum of others has confirmed that it holds the data. */
interface Remedy {
  readonly found: string;
  /** Puts by what is damaged. Resolves with where it is. */
  readonly apply: (data: DamagedData, random: Random) => Promise<string>;
  readonly applied: string;
}

/** The old one must not speak any more: it may have forgotten what it promised. */
const ANOTHER_MEMBER: Remedy = {
  found: "This member does not vote any more: its log is damaged, or nobody can tell that it is not.",
  apply: (data, random) => data.beginAnew(random),
  applied: "A quorum of others holds the data: this node comes back as a new member.",
};

/** The log has kept what the member promised; what the databases held before it comes from another one. */
const ANOTHER_COPY: Remedy = {
  found: "This member takes no part: its databases are damaged, and its log does not make them anew.",
  apply: (data) => data.quarantineDatabases(),
  applied: "A quorum of others holds the data: this member fetches a fresh copy.",
};

/** By the code that opening rejects with. */
const REMEDIES: ReadonlyMap<string, Remedy> = new Map([
  ["log-behind-store", ANOTHER_MEMBER],
  ["log-corrupt", ANOTHER_MEMBER],
  ["log-lost", ANOTHER_MEMBER],
  ["log-unproven", ANOTHER_MEMBER],
  ["store-damaged", ANOTHER_COPY],
]);

/**
 * Opens the storage. Where it is damaged and the node has others in its cluster, waits until a quorum of them has confirmed that
 * it does without, puts what is damaged into quarantine, and opens what is left: an empty log for another member, or empty
 * databases behind a log that does not reach back to their beginning, which the replica fetches. Damage that shows only then is
 * met the same way.
 *
 * Rejects as `open` does, and with the reason of `signal` if that ends the wait.
 */
export async function openSoundStorage(options: {
  readonly open: OpenStorage;
  readonly data: DamagedData;
  readonly bus: Asker["bus"];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Null once it is over. */
  readonly onDamage: (damage: Damage | null) => void;
}): Promise<Storage> {
  const { open, data, bus, clock, random, logger, signal, onDamage } = options;
  // What a remedy was for cannot be there again: were it, one more would mend it no better.
  for (const untried = new Map(REMEDIES); ; ) {
    try {
      return await open();
    } catch (error) {
      const { clusterId, hasCompanions, identity, memberId } = data;
      const remedy = isTrivetError(error) ? untried.get(error.code) : undefined;
      // Whatever a node without companions held, nobody else has it.
      if (!isTrivetError(error) || remedy === undefined || clusterId === null || !hasCompanions) throw error;
      untried.delete(error.code);
      // mark: membership: a member with damaged data waits for the others
      logger.log("error", remedy.found, { reason: error.message });
      const onWait = (waitsFor: string): void => onDamage({ error, waitsFor });
      onWait("asking the leader");
      const { nodeId } = identity;
      await untilExpendable({ bus, nodeId, clusterId, clock, signal, onWait }, memberId);
      const quarantine = await remedy.apply(data, random);
      logger.log("warn", remedy.applied, { quarantine, member: data.memberId });
      onDamage(null);
    }
  }
}
