import type { Logger } from "../platform/logger.ts";
import { encodeObjectChange } from "./encode-objects.ts";
import { errorResponse } from "./error-response.ts";
import type { ObjectChange } from "./object-types.ts";

/**
 * A watch as newline-delimited JSON, pulled no faster than the client reads. A watch that fails ends with a line
 * `{"code", "error"}`; the client goes on from the last revision that it saw, on any node.
 */
export function watchStream(
  changes: AsyncIterator<ObjectChange>,
  first: ObjectChange,
  parts: { readonly abort: AbortController; readonly onEnd: () => void; readonly logger: Logger },
): ReadableStream<Uint8Array> {
  const { abort, onEnd, logger } = parts;
  const encoder = new TextEncoder();
  const send = (controller: ReadableStreamDefaultController<Uint8Array>, line: string): void => {
    // Nobody listens any more once it is aborted.
    if (!abort.signal.aborted) controller.enqueue(encoder.encode(line));
  };
  const end = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    onEnd();
    if (!isCancelled) controller.close();
  };
  let isCancelled = false;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => send(controller, encodeObjectChange(first)),
      pull: async (controller) => {
        try {
          const next = await changes.next();
          if (next.done === true) end(controller);
          else send(controller, encodeObjectChange(next.value));
        } catch (error) {
          // mark: watch-stream: a watch that has begun fails
          send(controller, errorResponse(error, logger).body);
          end(controller);
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
