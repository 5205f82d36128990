import type { Directory } from "../platform/directory.ts";
import type { Logger } from "../platform/logger.ts";
import type { FoundLog, LogTail, TornBatch } from "./log-recovery.ts";
import { segmentName } from "./segment-name.ts";
import type { OpenSegment } from "./segment-pool.ts";

/**
 * Brings the disk to what was found, before anything is written or said because of it. Every step can be cut short and
 * is taken again at the next start.
 */
export async function mendLog(
  directory: Directory,
  logger: Logger,
  found: FoundLog,
): Promise<{
  readonly tail: { readonly segment: OpenSegment; readonly offset: number } | undefined;
  readonly tornBytes: number;
}> {
  for (const name of found.leftovers) {
    // mark: log: a file that is no part of the log any more is removed
    logger.log("info", "raft log: removing a file that is no part of the log any more", { name });
    await directory.remove(name);
  }
  await directory.sync();
  const tornBytes = found.torn === undefined ? 0 : await wipe(directory, logger, found.torn);
  return { tail: found.tail && (await confirm(directory, found.tail)), tornBytes };
}

/** Overwrites the remains of a torn batch: behind newer batches they would look like damage. */
async function wipe(directory: Directory, logger: Logger, torn: TornBatch): Promise<number> {
  const { segment, from, to } = torn;
  const name = segmentName(segment.number);
  const bytes = to - from;
  // mark: log: the remains of an incomplete batch are wiped
  logger.log("warn", "raft log: cut a batch that was not complete, so never acknowledged", {
    name,
    offset: from,
    bytes,
  });
  const file = await directory.open(name);
  try {
    await file.write(from, Buffer.alloc(bytes));
    await file.sync();
  } finally {
    await file.close();
  }
  return bytes;
}

/**
 * Writes the last batch again and syncs it. The process before may have died between its write and its sync, or of a
 * failed sync, after which the kernel takes pages for clean that never reached the disk: the batch can be read now and
 * be gone after a power cut.
 */
async function confirm(
  directory: Directory,
  tail: LogTail,
): Promise<{ readonly segment: OpenSegment; readonly offset: number }> {
  const file = await directory.open(segmentName(tail.segment.number));
  try {
    await file.write(tail.offset, tail.image.subarray(tail.offset, tail.end));
    await file.sync();
  } catch (error) {
    await file.close();
    throw error;
  }
  return { segment: { ...tail.segment, file }, offset: tail.end };
}
