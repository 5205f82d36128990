import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 15;

/**
 * Resolves with the first value other than null that `look` gives. For what another process does and does not announce:
 * looks again until the deadline.
 */
export async function until<T>(what: string, deadlineMs: number, look: () => Promise<T | null>): Promise<T> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > endMs) throw new Error(`Waited ${deadlineMs} ms in vain: ${what}`);
    await delay(POLL_MS);
  }
}
