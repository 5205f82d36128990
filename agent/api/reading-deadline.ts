import type { ServerResponse } from "node:http";
import type { Clock } from "../platform/clock.ts";

/** How slowly a client may read what waits for it. */
export interface ReadingPace {
  /** Before it has to have read anything. */
  readonly graceMs: number;
  readonly bytesPerSecondMin: number;
}

/** Slower than any network that an agent is reached over. */
export const READING_PACE: ReadingPace = { graceMs: 30_000, bytesPerSecondMin: 16 * 1024 };

/**
 * Cuts the connection if the client has not taken the `bytes` of its answer in the time that this gives it. Who reads byte by byte
 * is never silent, and would keep its share of what all unsent answers may take for as long as it likes.
 */
export function limitReading(
  outgoing: ServerResponse,
  bytes: number,
  { clock, pace }: { readonly clock: Clock; readonly pace: ReadingPace },
): void {
  const timeMs = pace.graceMs + (bytes * 1_000) / pace.bytesPerSecondMin;
  const timer = clock.setTimer(timeMs, () => outgoing.destroy());
  outgoing.once("close", () => timer.cancel());
}
