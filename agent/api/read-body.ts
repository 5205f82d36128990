import type { IncomingMessage } from "node:http";
import { TrivetError } from "../platform/trivet-error.ts";

/**
 * The body of a request, at most `bytesMax` bytes of it in memory; `claim` is told of every piece and may throw.
 *
 * Rejects with `body-too-large` (at once where Content-Length says so), `unsupported-encoding`, `client-gone`, or
 * what `claim` threw. The rest of a refused body is left in the socket, for `discardRest`.
 */
export function readBody(
  incoming: IncomingMessage,
  bytesMax: number,
  claim: (bytes: number) => void,
): Promise<Uint8Array> {
  const encoding = incoming.headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    const message = `The body is encoded as ${JSON.stringify(encoding)}; send it without Content-Encoding.`;
    return Promise.reject(new TrivetError("unsupported-encoding", message));
  }
  if (Number(incoming.headers["content-length"] ?? 0) > bytesMax) return Promise.reject(tooLarge(bytesMax));

  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const finish = (settle: () => void): void => {
      incoming.off("data", onData).off("end", onEnd).off("close", onClose).off("error", onError);
      settle();
    };
    const onData = (chunk: Uint8Array): void => {
      try {
        length += chunk.length;
        if (length > bytesMax) throw tooLarge(bytesMax);
        claim(chunk.length);
        chunks.push(chunk);
      } catch (error) {
        incoming.pause();
        finish(() => reject(error));
      }
    };
    const onEnd = (): void => finish(() => resolve(Buffer.concat(chunks)));
    const onError = (cause: unknown): void =>
      finish(() =>
        reject(new TrivetError("client-gone", "The client left before its body was read.", { cause })),
      );
    const onClose = (): void => onError(undefined);
    incoming.on("data", onData).on("end", onEnd).on("close", onClose).on("error", onError);
  });
}

function tooLarge(bytesMax: number): TrivetError {
  return new TrivetError(
    "body-too-large",
    `The body is larger than ${bytesMax} bytes. Send fewer statements at once, or raise body-limit.`,
  );
}
