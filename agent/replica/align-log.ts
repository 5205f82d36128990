import type { SnapshotStore } from "../store/snapshot.ts";
import type { LogPosition } from "../store/types.ts";
import type { ConsensusOptions } from "./consensus.ts";
import type { ReplicaLog } from "./ports.ts";

type Recovered = ConsensusOptions["recovered"];

/**
 * Brings the log up to a snapshot that was installed before a crash, durably, and tells the store. To be called at the start, with what
 * the log held; what it returns is what the replica starts from.
 */
export async function alignLog(options: {
  readonly log: ReplicaLog;
  readonly store: Pick<SnapshotStore, "pendingInstall" | "finishInstall">;
  readonly recovered: Recovered;
}): Promise<Recovered> {
  const { log, store, recovered } = options;
  const installed = store.pendingInstall;
  if (installed === null) return recovered;
  // mark: replica: the log is brought up to a snapshot that was installed before a crash
  const aligned = alignedTo(installed, recovered);
  if (aligned !== recovered) {
    await log.append({ base: installed, hardState: aligned.hardState, entries: [] });
  }
  await store.finishInstall();
  return aligned;
}

/** What the log is once it begins behind `position`, which is committed (Raft figure 13, steps 6 and 7). */
export function alignedTo(position: LogPosition, recovered: Recovered): Recovered {
  const { base, entries, hardState } = recovered;
  if (position.index <= base.index) return recovered;
  const isHeld = entries[position.index - base.index - 1]?.term === position.term;
  // The term of the snapshot's last entry was entered before it was installed, but that may not have reached the disk.
  const isNewTerm = position.term > hardState.term;
  return {
    base: position,
    entries: isHeld ? entries.slice(position.index - base.index) : [],
    hardState: {
      term: Math.max(hardState.term, position.term),
      vote: isNewTerm ? null : hardState.vote,
      commit: Math.max(hardState.commit, position.index),
    },
  };
}
