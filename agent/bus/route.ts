/** A way for datagrams to one node. */
export interface Route {
  /** Hands a datagram to the network. False if the way is closed or full; the datagram is dropped then. */
  send(inbox: string, payload: Buffer): boolean;
  /** Bytes that wait on this way before anything sent now. */
  backlogBytes(inbox: string): number;
}
