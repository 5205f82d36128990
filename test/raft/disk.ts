import type { LogWrite } from "../../agent/raft/outbox.ts";
import {
  type Configuration,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type LogPosition,
  type MemberId,
  NO_CONFIGURATION,
  type PlacedConfiguration,
} from "../../agent/raft/types.ts";

/** What a state machine has come to, as far as consensus cares: also what is in a snapshot of it. */
export interface Store extends LogPosition {
  /** The last configuration that it has applied. */
  readonly configuration: PlacedConfiguration;
}

export const EMPTY_STORE: Store = { index: 0, term: 0, configuration: NO_CONFIGURATION };

/** What survives a crash: the log, and what the state machine has made durable. */
export interface Disk {
  base?: LogPosition;
  /** Behind the base. */
  entries: Entry[];
  hardState: HardState;
  store?: Store;
}

export const EMPTY_DISK: Disk = { entries: [], hardState: INITIAL_HARD_STATE };

/** A log that holds one configuration entry, and the term it was made in: what a bootstrap leaves behind. */
export function bootstrapDisk(configuration: Configuration): Disk {
  const term = 1;
  return {
    entries: [{ kind: "configuration", index: 1, term, configuration }],
    hardState: { term, vote: null, commit: 0 },
  };
}

export function votersOnly(voters: readonly MemberId[]): Configuration {
  return { voters, outgoing: [], learners: [] };
}

/** A log whose entries have these terms, from index 1, the way the Raft paper draws logs; the first is the configuration. */
export function diskOfTerms(configuration: Configuration, terms: readonly number[]): Disk {
  const entries = terms.map(
    (term, at): Entry =>
      at === 0
        ? { kind: "configuration", index: 1, term, configuration }
        : { kind: "noop", index: at + 1, term },
  );
  return { entries, hardState: { term: terms.at(-1) ?? 0, vote: null, commit: 0 } };
}

export function baseOf({ base }: Disk): LogPosition {
  return base ?? { index: 0, term: 0 };
}

export function storeOf({ store }: Disk): Store {
  return store ?? EMPTY_STORE;
}

export function lastIndexOf(disk: Disk): number {
  return baseOf(disk).index + disk.entries.length;
}

/** Undefined if the log does not hold it. */
export function entryAt(disk: Disk, index: number): Entry | undefined {
  return disk.entries[index - baseOf(disk).index - 1];
}

export function termAt(disk: Disk, index: number): number | undefined {
  const base = baseOf(disk);
  return index === base.index ? base.term : entryAt(disk, index)?.term;
}

/** Raft figure 13, steps 6 and 7: what `LogBatch.base` promises. */
export function compactDisk(disk: Disk, to: LogPosition): void {
  const base = baseOf(disk);
  if (to.index <= base.index) return;
  disk.entries = termAt(disk, to.index) === to.term ? disk.entries.slice(to.index - base.index) : [];
  disk.base = { index: to.index, term: to.term };
}

/** What `DurableLog` does with a batch. */
export function writeToDisk(disk: Disk, { restored, entries, hardState }: LogWrite): void {
  if (restored !== null) compactDisk(disk, restored);
  const first = entries[0];
  if (first !== undefined) {
    disk.entries.length = Math.min(disk.entries.length, first.index - baseOf(disk).index - 1);
    if (lastIndexOf(disk) !== first.index - 1) throw new Error(`a gap before ${first.index} on the disk`);
    disk.entries.push(...entries);
  }
  if (hardState.commit > lastIndexOf(disk)) throw new Error(`commit ${hardState.commit} is not on the disk`);
  disk.hardState = hardState;
}
