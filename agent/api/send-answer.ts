import type { ServerResponse } from "node:http";
import type { Answer } from "./answer.ts";

/** Writes `answer`, pieces no faster than the client reads. Resolves when all is handed over, or the client has gone. */
export async function sendAnswer(outgoing: ServerResponse, { status, headers, body }: Answer): Promise<void> {
  if (typeof body === "string" || body instanceof Uint8Array) {
    outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
    outgoing.end(body);
    return;
  }
  outgoing.writeHead(status, headers);
  for await (const piece of body) {
    if (outgoing.destroyed) return;
    if (!outgoing.write(piece)) await untilRoom(outgoing);
  }
  outgoing.end();
}

/** Or until the client has gone. */
function untilRoom(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      outgoing.off("drain", finish).off("close", finish);
      resolve();
    };
    outgoing.on("drain", finish).on("close", finish);
  });
}
