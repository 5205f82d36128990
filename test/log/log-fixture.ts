import { DurableLog } from "../../agent/log/durable-log.ts";
import type { RecoveredLog } from "../../agent/log/log-types.ts";
import type { Directory } from "../../agent/platform/directory.ts";
import type { LogFields, Logger, LogLevel } from "../../agent/platform/logger.ts";
import type { MemoryDirectory } from "../../agent/platform/memory-directory.ts";
import type { Random } from "../../agent/platform/random.ts";
import type { CommandEntry, Entry, HardState } from "../../agent/raft/types.ts";

/** Small segments, so that a short log has several. */
export const SMALL_SEGMENT_BYTES = 4096;

export class RecordingLogger implements Logger {
  readonly lines: { readonly level: LogLevel; readonly message: string; readonly fields: LogFields }[] = [];

  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.lines.push({ level, message, fields });
  }
}

export function openLog(
  directory: Directory,
  segmentBytes = SMALL_SEGMENT_BYTES,
): Promise<{ readonly log: DurableLog; readonly recovered: RecoveredLog }> {
  return DurableLog.open({ directory, logger: new RecordingLogger(), segmentBytes });
}

/** For a power cut that loses all that was not synced. */
export const LOSES_ALL: Random = { float: () => 0.01, bytes: () => new Uint8Array() };

/** What the next process finds after such a one. */
export async function reopen(directory: MemoryDirectory): ReturnType<typeof openLog> {
  return await openLog(directory.crash(LOSES_ALL));
}

/** mulberry32: one seed, one sequence. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const float = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { float, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(float() * 256)) };
}

export function randomInt(random: Random, below: number): number {
  return Math.floor(random.float() * below);
}

/** A command whose bytes follow from its position: a mix-up shows. */
export function command(index: number, term: number, length = 32): CommandEntry {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (index * 31 + term * 7 + at) % 251;
  return { kind: "command", index, term, command: bytes };
}

export function commands(from: number, count: number, term: number, length?: number): Entry[] {
  return Array.from({ length: count }, (_, at) => command(from + at, term, length));
}

export function hardState(term: number, vote: string | null, commit: number): HardState {
  return { term, vote, commit };
}
