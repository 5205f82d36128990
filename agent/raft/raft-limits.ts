/** What a leader sends, and gathers, at most. Smaller ones are slower and as safe: tests and the simulator scale them down. */
export interface RaftLimits {
  /** Of the entries in one append. One entry goes in any case. */
  readonly appendBytesMax: number;
  /** How far appends may run ahead of their answers, for each peer. */
  readonly inFlightMessagesMax: number;
  readonly inFlightBytesMax: number;
  /** Proposed but not committed: beyond it, proposals are refused rather than gathered without end. */
  readonly uncommittedBytesMax: number;
}

export const DEFAULT_RAFT_LIMITS: RaftLimits = {
  // What fits one datagram of the bus with room for its envelope.
  appendBytesMax: 48 * 1024,
  inFlightMessagesMax: 128,
  inFlightBytesMax: 1024 * 1024,
  uncommittedBytesMax: 16 * 1024 * 1024,
};
