import type { ObjectEvent } from "./objects.ts";
import type { CommandResult } from "./types.ts";

/** What came of one entry. */
export interface RanCommand {
  readonly results: CommandResult;
  readonly events: readonly ObjectEvent[];
  /** What results and events take in memory, about. */
  readonly bytes: number;
}

/** An entry without a command, or one that the files have already. */
export const NOTHING_RAN: RanCommand = { results: [], events: [], bytes: 0 };
