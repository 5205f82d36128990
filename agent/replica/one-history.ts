import { TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "../store/types.ts";
import type { ConsensusOptions } from "./consensus.ts";

/**
 * The databases must stand on this log: the newest entry that one of them has applied must be in it, or before it: then the database
 * is incomplete. Throws `log-behind-store`.
 */
export function assertOneHistory(
  newest: LogPosition,
  { base, entries }: ConsensusOptions["recovered"],
): void {
  const last = entries.at(-1) ?? base;
  const found = newest.index === base.index ? base : entries[newest.index - base.index - 1];
  if (newest.index < base.index || found?.term === newest.term) return;
  throw new TrivetError(
    "log-behind-store",
    `The database has applied entry ${newest.index} of term ${newest.term}; the log, which ends at ${last.index}, does not hold it. They are not of one data directory: restore both together, or start this node with an empty one.`,
  );
}
