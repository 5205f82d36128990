import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { describeError } from "./error-response.ts";

/** How many requests of a connection may wait for the one before them. */
const WAITING_MAX = 100;

/**
 * The requests of a connection, one after another. Clients may send ahead (pipelining); Node parses what comes and shows each request
 * at once. Two reasons to take none before the answers to those before it have been sent:
 *
 * - Only safe requests may be done side by side (RFC 9112 9.3.2): a client's second write must not overtake its first.
 * - Node tells of the end of a connection ("close") only the answer that has it, never those that wait for it. An answer that nobody
 *   works on before its turn holds nothing that would have to be let go.
 */
export class RequestTurns {
  readonly #waiting = new WeakMap<Socket, number>();

  /** Calls `take` when the answer has its connection, never if that ends before. From then on `outgoing` will emit "close". */
  wait(incoming: IncomingMessage, outgoing: ServerResponse, take: () => void): void {
    const { socket } = incoming;
    if (outgoing.socket !== null) {
      if (socket.writable) take();
      return;
    }
    const waiting = this.#waiting.get(socket) ?? 0;
    if (waiting >= WAITING_MAX) {
      refuse(outgoing);
      return;
    }
    this.#waiting.set(socket, waiting + 1);
    outgoing.once("socket", () => {
      this.#waiting.set(socket, (this.#waiting.get(socket) ?? 0) - 1);
      // When an answer ends with its connection, Node still gives that to the next one.
      if (socket.writable) take();
    });
  }
}

/** The last answer of its connection. Small, and at once: answers that are made and wait are what Node stops reading for. */
function refuse(outgoing: ServerResponse): void {
  const message = `${WAITING_MAX} requests of this connection wait already. Nothing was done; try again.`;
  const { status, headers, body } = describeError("overloaded", message);
  const length = Buffer.byteLength(body);
  outgoing.writeHead(status, { ...headers, connection: "close", "content-length": length }).end(body);
}
