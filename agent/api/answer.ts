import type { ErrorResponse } from "./error-response.ts";

/** What a request is answered with. */
export interface Answer extends Omit<ErrorResponse, "body"> {
  /** As a whole, or in pieces that come one by one. */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
}
