import { DEFAULT_RAFT_LIMITS, type RaftLimits } from "../../agent/raft/raft-limits.ts";
import type { SimRandom } from "./sim-random.ts";

/** How often they are what an agent has, which a run never comes near. */
const USUAL_RATE = 0.4;

/** Scaled down: a log is caught up with append by append, windows fill, and a leader has too much that is not committed. */
export function drawRaftLimits(random: SimRandom): RaftLimits {
  if (random.isTrue(USUAL_RATE)) return DEFAULT_RAFT_LIMITS;
  const { appendBytesMax, inFlightMessagesMax, inFlightBytesMax } = DEFAULT_RAFT_LIMITS;
  return {
    appendBytesMax: Math.round(random.magnitude(50, appendBytesMax)),
    inFlightMessagesMax: Math.round(random.magnitude(1, inFlightMessagesMax)),
    inFlightBytesMax: Math.round(random.magnitude(100, inFlightBytesMax)),
    uncommittedBytesMax: Math.round(random.magnitude(300, 300_000)),
  };
}
