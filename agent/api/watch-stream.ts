import type { Logger } from "../platform/logger.ts";
import { errorResponse } from "./error-response.ts";
import type { ObjectWatch } from "./object-watch.ts";

/**
 * A watch as a body; nothing is fetched ahead, so what waits for a slow client waits in the store. One that fails ends with a line
 * `{"code", "error"}`, or where it is cut off in the middle of a line, without an end; the client goes on from the last revision that
 * it saw, on any node.
 */
export async function* watchStream(
  watch: ObjectWatch,
  first: Uint8Array,
  parts: {
    /** Ends the connection. */
    readonly cut: () => void;
    readonly logger: Logger;
  },
): AsyncGenerator<Uint8Array, void> {
  let lastLine = "";
  try {
    for (let piece: Uint8Array | null = first; piece !== null; piece = await watch.next()) yield piece;
  } catch (error) {
    // mark: watch-stream: a watch that has begun fails
    lastLine = errorResponse(error, parts.logger).body;
  }
  if (watch.isWithinLine) parts.cut();
  else if (lastLine !== "") yield new TextEncoder().encode(lastLine);
}
