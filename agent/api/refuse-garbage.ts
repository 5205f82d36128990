import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { describeError, type ErrorResponse } from "./error-response.ts";

export const HEADER_BYTES_MAX = 16 * 1024;

/**
 * What is not HTTP, came too slowly or has too large headers: the parser gave up, so the connection ends. `running` is the answer
 * that has the connection: what is said here must not be taken for that, or for a part of it.
 */
export function refuseGarbage(error: NodeJS.ErrnoException, socket: Duplex, running?: ServerResponse): void {
  if (error.code === "ECONNRESET" || !socket.writable || running?.headersSent) {
    socket.destroy();
    return;
  }
  if (running?.req.complete) {
    // It came behind that request, whose answer is the last one then.
    running.setHeader("connection", "close");
    return;
  }
  sayLast(socket, garbageResponse(error.code));
}

/**
 * CONNECT: with it Node has let go of the connection, and does nothing any more for the answer that may be `running` there, nor for
 * its deadlines.
 */
export function refuseTunnel(socket: Duplex, running?: ServerResponse): void {
  socket.on("error", () => socket.destroy());
  if (running !== undefined) {
    socket.destroy();
    return;
  }
  socket.once("finish", () => socket.destroy());
  sayLast(socket, describeError("bad-request", "This API is no proxy: it takes no CONNECT."));
}

function sayLast(socket: Duplex, { status, headers, body }: ErrorResponse): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

function garbageResponse(code: string | undefined): ErrorResponse {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return describeError(
        "headers-too-large",
        `URL and headers may have ${HEADER_BYTES_MAX} bytes together.`,
      );
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return describeError("slow-request", "The request did not arrive in time.");
    default:
      return describeError("bad-request", "This is not HTTP/1.1.");
  }
}
