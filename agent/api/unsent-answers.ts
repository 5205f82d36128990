import type { ServerResponse } from "node:http";
import { TrivetError } from "../platform/trivet-error.ts";

/** From here on nothing large is answered. */
const BYTES_MAX = 64 * 1024 * 1024;
/** Reads end earlier: clients that do not take what they have asked for must not keep others from writing. */
const READ_BYTES_MAX = BYTES_MAX / 2;
/** What any answer may have. */
const SMALL_BYTES = 64 * 1024;

/** The answers on their way, and what of them waits in memory until its client reads. */
export class UnsentAnswers {
  readonly #running = new Set<ServerResponse>();

  track(outgoing: ServerResponse): void {
    this.#running.add(outgoing);
    outgoing.once("close", () => this.#running.delete(outgoing));
  }

  /** Those whose connections are still needed. */
  get running(): ReadonlySet<ServerResponse> {
    return this.#running;
  }

  get bytes(): number {
    let sum = 0;
    for (const { writableLength } of this.#running) sum += writableLength;
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
