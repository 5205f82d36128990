import { TrivetError } from "../platform/trivet-error.ts";
import type { LogPosition } from "../store/types.ts";
import { alignedTo } from "./align-log.ts";
import type { ConsensusOptions } from "./consensus.ts";

type Recovered = ConsensusOptions["recovered"];

/** Where the databases stand. */
export interface StorePositions {
  /** The newest entry that one of them has applied. */
  readonly newest: LogPosition;
  /** Of a snapshot that was installed, and that the log may not have followed yet. */
  readonly pendingInstall: LogPosition | null;
}

/**
 * True if the databases stand on this log: their newest entry is in it, or before it, and then they are incomplete. An entry is applied
 * only once it is durable in the log, or comes by a snapshot that the log has to follow (`alignLog`): so nothing but damage
 * takes a log back behind its databases.
 */
export function isOneHistory({ newest, pendingInstall }: StorePositions, recovered: Recovered): boolean {
  const { base, entries } = pendingInstall === null ? recovered : alignedTo(pendingInstall, recovered);
  if (newest.index < base.index) return true;
  const found = newest.index === base.index ? base : entries[newest.index - base.index - 1];
  return found?.term === newest.term;
}

/**
 * What no log can tell of itself: that its last batches are missing, or were damaged and passed for torn (see `findLog`). Where the
 * databases have not gone beyond them, nothing can tell. Throws `log-behind-store`.
 */
export function assertOneHistory(store: StorePositions, recovered: Recovered): void {
  if (isOneHistory(store, recovered)) return;
  // mark: replica: the log has lost what the databases have applied
  const { index, term } = store.newest;
  const last = recovered.entries.at(-1) ?? recovered.base;
  const log =
    last.index === 0 ? "the log is empty" : `the log, which ends at ${last.index}, does not hold it`;
  throw new TrivetError(
    "log-behind-store",
    `The databases have applied entry ${index} of term ${term}, and ${log}: its end is damaged or gone, or the databases are not of this log. This member must not vote any more. Restore the whole directory as it was when the agent last stopped, or empty it to start as a new member; keep it as it is until then: it may be the last copy.`,
  );
}

/**
 * For a log that was not closed in good order, beside databases that are damaged: they alone could have told that it has lost its end
 * (`assertOneHistory`), and what takes its end from a log, a power cut on a card that lies, damages databases as well.
 */
export function endUnproven(damage: TrivetError): TrivetError {
  return new TrivetError(
    "log-unproven",
    `${damage.message} The log was not closed in good order, and only the databases could show that its end is all there. This member must not vote any more. Restore the whole directory as it was when the agent last stopped, or empty it to start as a new member.`,
    { cause: damage },
  );
}
