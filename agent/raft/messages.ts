import type { Entry, MemberId } from "./types.ts";

/**
 * What members say to each other. The network may lose, delay, double and reorder any of it.
 *
 * `term` is the sender's term, except in a pre-vote: there it is the term that the sender would campaign in.
 */
interface Header {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: number;
}

/** Would you vote for me? Asked before the term is raised, so that a lone member cannot depose a leader (Raft thesis 9.6). */
export interface PreVoteRequest extends Header {
  readonly kind: "pre-vote-request";
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export interface PreVoteResponse extends Header {
  readonly kind: "pre-vote-response";
  readonly granted: boolean;
}

/** Raft 5.2, RequestVote. */
export interface VoteRequest extends Header {
  readonly kind: "vote-request";
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The old leader asked for this election: do not protect it. */
  readonly transfer: boolean;
}

export interface VoteResponse extends Header {
  readonly kind: "vote-response";
  readonly granted: boolean;
}

/** Raft 5.3, AppendEntries. */
export interface AppendRequest extends Header {
  readonly kind: "append-request";
  readonly previousIndex: number;
  readonly previousTerm: number;
  readonly entries: readonly Entry[];
  readonly commit: number;
}

export interface AppendResponse extends Header {
  readonly kind: "append-response";
  /** Accepted: the logs agree, durably, up to here. Rejected: the `previousIndex` that did not fit. */
  readonly index: number;
  /** Null if accepted. Else the last place where the logs may agree, so that one round skips a whole term. */
  readonly hint: { readonly index: number; readonly term: number } | null;
}

/** Says that the leader lives; never waits behind entries. */
export interface HeartbeatRequest extends Header {
  readonly kind: "heartbeat-request";
  /** Never beyond what this follower is known to hold. */
  readonly commit: number;
  /** The newest read round of the leader (Raft thesis 6.4); grows within a term. */
  readonly readContext: number;
  /** When it was sent, in whole milliseconds of the leader's own time; comes back with the answer. */
  readonly sentMs: number;
  /** The election timeout that the leader's measurements ask for: followers wait no less. */
  readonly electionMs: number;
}

export interface HeartbeatResponse extends Header {
  readonly kind: "heartbeat-response";
  readonly readContext: number;
  /** Of the request that it answers. */
  readonly sentMs: number;
}

/**
 * Your log ends, or leaves mine, before mine begins: fetch a snapshot (Raft 7). The data does not travel through
 * consensus; the follower fetches it, and tells with an `AppendResponse` how far it has come.
 */
export interface SnapshotRequest extends Header {
  readonly kind: "snapshot-request";
  /** The leader's log begins behind this position, which is committed. The snapshot must reach it. */
  readonly baseIndex: number;
  readonly baseTerm: number;
}

/** Campaign now, without a pre-vote: the sender hands over its leadership (Raft thesis 3.10). */
export interface TimeoutNow extends Header {
  readonly kind: "timeout-now";
}

export type Message =
  | PreVoteRequest
  | PreVoteResponse
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | HeartbeatRequest
  | HeartbeatResponse
  | SnapshotRequest
  | TimeoutNow;

/** Only the leader of `message.term` sends these. */
export type LeaderMessage = AppendRequest | HeartbeatRequest | SnapshotRequest | TimeoutNow;

export function isFromLeader(message: Message): message is LeaderMessage {
  return (
    message.kind === "append-request" ||
    message.kind === "heartbeat-request" ||
    message.kind === "snapshot-request" ||
    message.kind === "timeout-now"
  );
}
