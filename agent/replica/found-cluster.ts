import type { MemberId } from "../raft/types.ts";
import type { ConsensusOptions } from "./consensus.ts";
import type { ReplicaLog } from "./ports.ts";

/**
 * Makes the first entry of a new cluster durable: the configuration that names its voters. What it returns is what
 * the replica starts from. To be called once, with an empty log, on one node only.
 */
export async function foundCluster(
  log: ReplicaLog,
  voters: readonly MemberId[],
): Promise<ConsensusOptions["recovered"]> {
  const hardState = { term: 1, vote: null, commit: 0 };
  const configuration = { voters: [...voters], outgoing: [], learners: [] };
  const entries = [{ kind: "configuration", index: 1, term: 1, configuration } as const];
  await log.append({ hardState, entries });
  return { base: { index: 0, term: 0 }, entries, hardState };
}

/**
 * Makes the log of a member that is invited into a cluster durable before it takes part: empty, but in the founder's first term, which
 * nobody votes in. So a log that is found without any term later is known to be lost.
 */
export async function beginLog(log: ReplicaLog): Promise<ConsensusOptions["recovered"]> {
  const hardState = { term: 1, vote: null, commit: 0 };
  await log.append({ hardState, entries: [] });
  return { base: { index: 0, term: 0 }, entries: [], hardState };
}

/** True if the log has never been part of a cluster, or has lost all that it held. */
export function isBlank(recovered: ConsensusOptions["recovered"]): boolean {
  return recovered.hardState.term === 0;
}
