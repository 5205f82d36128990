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
