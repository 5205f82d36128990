import { TrivetError } from "../platform/trivet-error.ts";

/** Bounds what all requests together may hold at any time. */
export class RequestBudget {
  readonly #requestsMax: number;
  readonly #bytesMax: number;
  #requests = 0;
  #bytes = 0;

  constructor(limits: { readonly requestsMax: number; readonly bytesMax: number }) {
    this.#requestsMax = limits.requestsMax;
    this.#bytesMax = limits.bytesMax;
  }

  /** Runs one request with a claim that it may add bytes to; everything is given back when it ends. */
  async run<T>(handle: (claim: (bytes: number) => void) => Promise<T>): Promise<T> {
    if (this.#requests >= this.#requestsMax) throw overloaded(`${this.#requestsMax} requests`);
    this.#requests++;
    let claimed = 0;
    try {
      return await handle((bytes) => {
        if (this.#bytes + bytes > this.#bytesMax) throw overloaded(`${this.#bytesMax} bytes of bodies`);
        this.#bytes += bytes;
        claimed += bytes;
      });
    } finally {
      this.#requests--;
      this.#bytes -= claimed;
    }
  }
}

function overloaded(limit: string): TrivetError {
  return new TrivetError("overloaded", `This node already holds ${limit}. Nothing was done; try again.`);
}
