import { invariant } from "../platform/invariant.ts";
import type { LogPosition } from "../raft/types.ts";

interface CommittedLog {
  readonly base: LogPosition;
  termAt(index: number): number | undefined;
}

/**
 * The position of the entry at `index`, which is committed. Where the log has dropped that entry, as it may while a read is being
 * confirmed, its base: who has applied the base has applied all before it.
 */
export function committedPosition(log: CommittedLog, index: number): LogPosition {
  if (index < log.base.index) return log.base;
  const term = log.termAt(index);
  invariant(term !== undefined, `no term at ${index}, which is committed here`);
  return { index, term };
}
