import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import type { ConsensusOptions } from "../replica/consensus.ts";
import { foundCluster } from "../replica/found-cluster.ts";
import type { ReplicaLog } from "../replica/ports.ts";
import type { DataDirectory } from "./data-directory.ts";

const CLUSTER_ID_BYTES = 16;

export interface EstablishOptions {
  /** Member ids: this node's own, and those that have promised to be named. */
  readonly voters: readonly string[];
  /** When this node must be done, on the clock: later, they may let another node name them. Null if nobody promised anything. */
  readonly endMs: number | null;
  readonly log: ReplicaLog;
  readonly data: Pick<DataDirectory, "joinCluster" | "leaveCluster">;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Makes a new cluster durable on the node that founds it: the log first, then the record, which decides. What a crash leaves of a log
 * without the record goes at the next start.
 *
 * Rejects with `founding-late` if the disk took too long: then there is no cluster, and the process must end, since the log is begun.
 */
export async function establishCluster(options: EstablishOptions): Promise<{
  readonly clusterId: string;
  readonly recovered: ConsensusOptions["recovered"];
}> {
  const { voters, endMs, log, data, clock, random } = options;
  const isLate = (): boolean => endMs !== null && clock.nowMs() > endMs;
  const recovered = await foundCluster(log, voters);
  if (isLate()) throw late();
  const clusterId = Buffer.from(random.bytes(CLUSTER_ID_BYTES)).toString("hex");
  await data.joinCluster(clusterId, voters.length > 1);
  if (isLate()) {
    // Nobody has heard of it yet.
    await data.leaveCluster();
    throw late();
  }
  return { clusterId, recovered };
}

function late(): TrivetError {
  return new TrivetError(
    "founding-late",
    "No cluster was founded: the disk took so long that the others may have let another node found one. Start this node again: it looks for one first.",
  );
}
