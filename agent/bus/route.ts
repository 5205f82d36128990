/** The path over this node's own broker; those over links to others follow. */
export const OWN_BROKER_PATH = 0;

/** A way for datagrams to one node: over one hub. */
export interface Route {
  /** Number of the hub among those that this node knows. */
  readonly path: number;
  /** Hands a datagram to the network. False if the way is closed or full; the datagram is dropped then. */
  send(inbox: string, payload: Buffer): boolean;
  /** Bytes that wait on this way before anything sent now. */
  backlogBytes(inbox: string): number;
}
