import type { Logger } from "../platform/logger.ts";
import { errorResponse } from "./error-response.ts";
import type { ObjectWatch } from "./object-watch.ts";

/**
 * A watch as a body, pulled no faster than the client reads. One that fails ends with a line `{"code", "error"}`, or where it is cut off
 * in the middle of a line, without an end; the client goes on from the last revision that it saw, on any node.
 */
export function watchStream(
  watch: ObjectWatch,
  first: Uint8Array,
  parts: {
    readonly abort: AbortController;
    readonly onEnd: () => void;
    /** Ends the connection. */
    readonly cut: () => void;
    readonly logger: Logger;
  },
): ReadableStream<Uint8Array> {
  const { abort, onEnd, cut, logger } = parts;
  let isCancelled = false;
  const end = (controller: ReadableStreamDefaultController<Uint8Array>, lastLine: string): void => {
    onEnd();
    if (isCancelled) return;
    if (watch.isWithinLine) {
      cut();
      return;
    }
    if (lastLine !== "") controller.enqueue(new TextEncoder().encode(lastLine));
    controller.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(first),
      pull: async (controller) => {
        try {
          const piece = await watch.next();
          if (piece === null) end(controller, "");
          else if (!isCancelled) controller.enqueue(piece);
        } catch (error) {
          // mark: watch-stream: a watch that has begun fails
          end(controller, errorResponse(error, logger).body);
        }
      },
      cancel: () => {
        isCancelled = true;
        abort.abort();
        onEnd();
      },
    },
    // Nothing is fetched ahead: what waits for a slow client waits in the store.
    { highWaterMark: 0 },
  );
}
