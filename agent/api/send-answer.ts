import type { ServerResponse } from "node:http";
import type { Clock } from "../platform/clock.ts";
import type { Answer } from "./answer.ts";
import { limitReading, type ReadingPace } from "./reading-deadline.ts";
import { TextPieces } from "./text-pieces.ts";
import type { UnsentAnswers } from "./unsent-answers.ts";

export interface SendingParts {
  readonly unsent: UnsentAnswers;
  readonly clock: Clock;
  readonly pace: ReadingPace;
}

/** Writes an answer, in pieces no faster than the client reads. Resolves when all is handed over, or the client has gone. */
export async function sendAnswer(
  outgoing: ServerResponse,
  { status, headers, body }: Answer,
  parts: SendingParts,
): Promise<void> {
  // Gone while its answer was made: no "close" will come any more that ends what is begun here.
  if (outgoing.destroyed) return;
  const whole = body instanceof TextPieces ? (body.text ?? body) : body;
  if (typeof whole === "string" || whole instanceof Uint8Array) {
    const bytes = Buffer.byteLength(whole);
    outgoing.writeHead(status, { ...headers, "content-length": bytes });
    outgoing.end(whole);
    if (outgoing.writableLength > 0) limitReading(outgoing, bytes, parts);
    return;
  }
  if (whole instanceof TextPieces) {
    const { bytes } = whole;
    parts.unsent.hold(outgoing, whole);
    limitReading(outgoing, bytes, parts);
    outgoing.writeHead(status, { ...headers, "content-length": bytes });
    for (let piece = whole.take(); piece !== undefined; piece = whole.take()) {
      await write(outgoing, piece);
    }
  } else {
    // A watch: its client may read as slowly as it likes.
    outgoing.writeHead(status, headers);
    for await (const piece of whole) await write(outgoing, piece);
  }
  outgoing.end();
}

/** Resolves when there is room for more, or the client has gone. */
async function write(outgoing: ServerResponse, piece: Uint8Array): Promise<void> {
  if (outgoing.destroyed || outgoing.write(piece)) return;
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      outgoing.off("drain", finish).off("close", finish);
      resolve();
    };
    outgoing.on("drain", finish).on("close", finish);
  });
}
