import { UNFINISHED_SEGMENT_NAME } from "../../agent/log/segment-name.ts";
import type { DiskCall, DiskVerdict } from "../../agent/platform/memory-directory.ts";
import type { FaultMix } from "./fault-mix.ts";
import type { SimRandom } from "./sim-random.ts";

export interface DiskFaultsOptions {
  readonly mix: FaultMix["disk"];
  readonly random: SimRandom;
  /** False once no fault may happen any more. */
  readonly isBad: () => boolean;
  readonly isFull: () => boolean;
  /** Resolves after some time of the process; never if it dies before. */
  readonly wait: (ms: number) => Promise<void>;
  /** The process is to die in the middle of this call. */
  readonly onDeath: (call: DiskCall) => void;
  /** A call fails: the process may give up because of it. */
  readonly onFault: () => void;
}

/** What becomes of each call on one node's disk. */
export function diskFaults(
  options: DiskFaultsOptions,
): (call: DiskCall) => DiskVerdict | Promise<DiskVerdict> {
  const { mix, random, isBad, isFull, wait, onDeath, onFault } = options;

  const verdictOf = (call: DiskCall): DiskVerdict => {
    if (isFull() && call.operation === "write" && call.name === UNFINISHED_SEGMENT_NAME) return "ENOSPC";
    if (!isBad()) return undefined;
    if (mix.diesInCallRate > 0 && random.isTrue(mix.diesInCallRate)) {
      onDeath(call);
      return "halt";
    }
    if (call.operation === "sync" && random.isTrue(mix.failedSyncRate)) return "EIO";
    if (call.operation === "write" && random.isTrue(mix.failedWriteRate))
      return random.pick(["EIO", "ENOSPC"]);
    return undefined;
  };

  return (call) => {
    // Zeros for segments to come are written page by page: no news in that, and it is most of the calls.
    if (call.operation === "write" && call.name === UNFINISHED_SEGMENT_NAME && !isFull()) return undefined;
    const verdict = verdictOf(call);
    if (verdict !== undefined && verdict !== "halt") onFault();
    if (verdict === "halt" || (call.operation !== "sync" && call.operation !== "sync-directory"))
      return verdict;
    const isSlow = isBad() && random.isTrue(mix.slowRate);
    const ms = isSlow ? mix.slowMs * random.between(0.5, 1.5) : mix.syncMs * random.between(0.5, 1.5);
    return wait(ms).then(() => verdict);
  };
}
