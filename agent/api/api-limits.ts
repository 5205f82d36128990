/** What one request may ask for; from the settings. */
export interface ApiLimits {
  /** Largest body, bytes. */
  readonly bodyBytesMax: number;
  /** Deadline of a write that names none. */
  readonly requestTimeoutMs: number;
  /** Deadline of a query that names none. */
  readonly queryTimeoutMs: number;
  /** Longest deadline that a request may name. */
  readonly requestTimeoutMsMax: number;
}
