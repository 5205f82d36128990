import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { TrivetError } from "../platform/trivet-error.ts";
import type { TextPieces } from "./text-pieces.ts";

/** From here on nothing large is answered. */
const BYTES_MAX = 64 * 1024 * 1024;
/** Reads end earlier: clients that do not take what they have asked for must not keep others from writing. */
const READ_BYTES_MAX = BYTES_MAX / 2;
/** What any answer may have. */
const SMALL_BYTES = 64 * 1024;

/** The answers on their way, and what of them waits in memory until its client reads. */
export class UnsentAnswers {
  /** With what is made of them and not yet given to their connections. */
  readonly #running = new Map<ServerResponse, TextPieces | null>();

  /** From its turn on, until "close". */
  track(outgoing: ServerResponse): void {
    this.#running.set(outgoing, null);
    outgoing.once("close", () => this.#running.delete(outgoing));
  }

  /** `pieces` is to be sent as the answer; what is taken of them is not counted any more. */
  hold(outgoing: ServerResponse, pieces: TextPieces): void {
    if (this.#running.has(outgoing)) this.#running.set(outgoing, pieces);
  }

  /** Those whose connections are still needed. */
  get running(): Iterable<ServerResponse> {
    return this.#running.keys();
  }

  /** The one that has this connection. */
  answerOn(socket: Duplex): ServerResponse | undefined {
    for (const outgoing of this.#running.keys()) if (outgoing.socket === socket) return outgoing;
    return undefined;
  }

  get bytes(): number {
    let sum = 0;
    for (const [{ writableLength }, pieces] of this.#running) sum += writableLength + (pieces?.bytes ?? 0);
    return sum;
  }

  /** Throws `overloaded`. To be called before a read begins, and again before its answer is made: others may have come between. */
  assertRoomForRead(): void {
    if (this.bytes < READ_BYTES_MAX) return;
    throw new TrivetError(
      "overloaded",
      "Too many clients have not read their answers: nothing was done. Try again later, or ask another node.",
    );
  }

  /** Throws `answer-too-large` where the answer to something that was done would be too much. */
  assertRoomForResult(bytes: number): void {
    if (bytes <= SMALL_BYTES || this.bytes < BYTES_MAX) return;
    throw new TrivetError(
      "answer-too-large",
      "It was done, but too many clients have not read their answers, and this one is too large to wait with them.",
    );
  }
}
