import type { ErrorResponse } from "./error-response.ts";
import type { TextPieces } from "./text-pieces.ts";

/** What a request is answered with. */
export interface Answer extends Omit<ErrorResponse, "body"> {
  /** As a whole, or in pieces: all made, or made as they are sent. */
  readonly body: string | Uint8Array | TextPieces | AsyncIterable<Uint8Array>;
}
