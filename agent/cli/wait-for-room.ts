import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../platform/logger.ts";
import { isDiskFull } from "../store/disk-room.ts";

const RETRY_MS = 1_000;

/**
 * Resolves when the file system of `path` has room for what every start writes (its session, its logs); rejects with the reason of
 * `signal` if that is aborted before. A power cut on a site whose disks are full must not leave agents that have given up.
 */
export async function waitForRoom(path: string, logger: Logger, signal: AbortSignal): Promise<void> {
  if (!isDiskFull(path)) return;
  logger.log("error", "The disk is full: the agent starts once there is room. Free space on it.", { path });
  do {
    // Not the clock's timer, which does not keep a process alive that has nothing else to do yet.
    await sleep(RETRY_MS, undefined, { signal });
  } while (isDiskFull(path));
  logger.log("info", "The disk has room again.", { path });
}
