import type { IncomingMessage } from "node:http";
import type { Clock } from "../platform/clock.ts";

/** A client that is still sending reads the answer only when its body is taken: for so long, then the connection ends. */
const DISCARD_MS = 500;

/** Takes what is left of the body of a request that has been answered, so that the connection can be used again. */
export function discardRest(incoming: IncomingMessage, clock: Clock): void {
  if (incoming.readableEnded || incoming.destroyed) return;
  const timer = clock.setTimer(DISCARD_MS, () => incoming.socket.destroySoon());
  incoming.once("close", () => timer.cancel());
  incoming.resume();
}
