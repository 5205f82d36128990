/** What went through the bus and what was dropped, since it was opened. */
export interface BusCounters {
  /** Datagrams and fragments handed to a hub. */
  sent: number;
  /** Datagrams and fragments that were sent while the shortest way was silent. */
  detoured: number;
  /** Datagrams handed to a handler. */
  received: number;
  /** Not an envelope of ours. */
  droppedMalformed: number;
  /** Of another cluster, or not for this node. */
  droppedForeign: number;
  /** Received before, or too old to tell. */
  droppedReplayed: number;
  /** Of an earlier process of the sender. */
  droppedOldSession: number;
  /** Fragments that fit nowhere, and those of bodies that never became complete. */
  droppedFragments: number;
  /** Of a kind that nobody handles. */
  droppedUnhandled: number;
  /** Not sent, because there was no way to the node. */
  droppedNoRoute: number;
  /** Not sent, because the way was full. */
  droppedCongested: number;
  /** Presence messages that are none, or for which the peer table has no room. */
  droppedPresence: number;
}

export function newBusCounters(): BusCounters {
  return {
    sent: 0,
    detoured: 0,
    received: 0,
    droppedMalformed: 0,
    droppedForeign: 0,
    droppedReplayed: 0,
    droppedOldSession: 0,
    droppedFragments: 0,
    droppedUnhandled: 0,
    droppedNoRoute: 0,
    droppedCongested: 0,
    droppedPresence: 0,
  };
}
