import type { Bus } from "../bus/bus.ts";
import type { Peer } from "../bus/peer-table.ts";
import { decodeCbor, encodeCbor } from "../platform/cbor.ts";
import type { Clock } from "../platform/clock.ts";
import { isTrivetError, TrivetError } from "../platform/trivet-error.ts";
import { nodeIdOf } from "../replica/member-id.ts";
import { pause } from "../replica/pause.ts";
import type { Transport } from "../replica/ports.ts";
import { notLeader } from "../replica/sql-errors.ts";
import { asArray, asInteger, asString } from "../replica/wire-fields.ts";

/**
 * How a node whose data is damaged comes back without a person. With a damaged log, it is another member from then on:
 *
 *     node                                     leader
 *     cluster/may-rejoin
 *       [cluster, old id, term]            ->  commits an entry, and asks the others after that: a quorum of them, without this
 *                                              node, must say that it holds everything up to there (see `confirmQuorum`)
 *                                          <-  yes
 *     puts its data into quarantine,
 *     takes a new incarnation, an empty log
 *     cluster/rejoin
 *       [cluster, new id, term]            ->  makes it a learner of the cluster
 *                                          <-  yes, also if it is one
 *     catches up, by snapshot                  once it has caught up, swaps it for the old member (see `nextRepair`)
 *
 * With damaged databases behind a sound log, it asks the first question only, and stays who it is.
 *
 * Each is asked of the leader of a term: a copy of the request may come late, to a leader that has started again, when the node is yet
 * another member. To make the one of then a learner would put out the one of now.
 *
 * Until the first yes nothing of the damaged data is touched: it could be the last copy.
 */
const MAY_REJOIN = "cluster/may-rejoin";
const REJOIN = "cluster/rejoin";

const RETRY_MS = 1_000;
const ASK_TIMEOUT_MS = 10_000;
/** The leader gives up before the node does, so that the node hears why. */
const CONFIRM_TIMEOUT_MS = 8_000;

/** Who is to belong to the cluster. */
export interface Members {
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}

/** Who does. */
export interface PresentMembers extends Members {
  /** Voters that have a vote only until the change that is under way is done. */
  readonly outgoing: readonly string[];
}

/** What the leader's side needs of the replica. */
export interface RejoinTarget {
  readonly clusterId: string;
  readonly leadsIn: (term: number) => boolean;
  readonly members: () => PresentMembers;
  /**
   * Resolves once a quorum without this node says that it holds all that was committed when it was called. Rejects if there is none,
   * at the latest after `timeoutMs`.
   */
  readonly confirmQuorum: (withoutNode: string, timeoutMs: number) => Promise<void>;
  /** Resolves when these are the members, committed; rejects if another change is under way. */
  readonly changeMembers: (members: Members) => Promise<void>;
}

/** Answers nodes that come back. Returns what ends that. */
export function answerReturners(bus: Pick<Transport, "handle">, target: RejoinTarget): () => void {
  const check = (from: string, body: Uint8Array): string => {
    const [clusterId, member, term] = asArray(decodeCbor(body));
    if (asString(clusterId) !== target.clusterId)
      throw new TrivetError("foreign-cluster", "This node belongs to another cluster of the same name.");
    const memberId = asString(member);
    if (nodeIdOf(memberId) !== from)
      throw new TrivetError("not-this-member", "A node can ask for itself only.");
    if (!target.leadsIn(asInteger(term))) throw notLeader();
    if (incarnationsOf(target.members(), from).length === 0) throw notMember();
    return memberId;
  };
  const stops = [
    bus.handle(MAY_REJOIN, async (from, body) => {
      check(from, body);
      // mark: rejoin: the leader confirms that a quorum of others holds the data
      await target.confirmQuorum(from, CONFIRM_TIMEOUT_MS);
      return encodeCbor([]);
    }),
    bus.handle(REJOIN, async (from, body) => {
      const memberId = check(from, body);
      const members = target.members();
      const isVoter = members.voters.includes(memberId);
      // mark: rejoin: a new incarnation becomes a learner
      // Asked also where it seems to be a member already: that may not be committed, and be taken back.
      await target.changeMembers(isVoter ? members : withReturner(members, memberId));
      return encodeCbor([]);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** The members with one more learner. A node has one at most: an earlier one that never caught up is gone for good. */
export function withReturner({ voters, learners }: Members, memberId: string): Members {
  const nodeId = nodeIdOf(memberId);
  return { voters, learners: [...learners.filter((other) => nodeIdOf(other) !== nodeId), memberId] };
}

/** Who asks, and where. */
export interface Asker {
  readonly bus: Pick<Bus, "peers"> & Pick<Transport, "request">;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly signal: AbortSignal;
}

export interface RejoinOptions extends Asker {
  readonly clock: Clock;
  /** Told why the node has to wait, each time. */
  readonly onWait: (reason: string) => void;
}

/** Resolves once the leader has confirmed that the cluster does without the data of `oldMember`. Rejects when aborted. */
export function untilExpendable(options: RejoinOptions, oldMember: string): Promise<void> {
  return askUntilGranted(options, MAY_REJOIN, oldMember);
}

/** Resolves once the leader has made `newMember` a member. Rejects when aborted. */
export function untilMember(options: RejoinOptions, newMember: string): Promise<void> {
  return askUntilGranted(options, REJOIN, newMember);
}

/** Asks once to be made a member. Null if the leader agrees, else why not. */
export function askToRejoin(options: Asker, newMember: string): Promise<string | null> {
  return askLeaders(options, REJOIN, newMember);
}

async function askUntilGranted(options: RejoinOptions, method: string, memberId: string): Promise<void> {
  const { clock, signal, onWait } = options;
  for (;;) {
    const refusal = await askLeaders(options, method, memberId);
    if (refusal === null) return;
    onWait(refusal);
    await pause(clock, RETRY_MS, signal);
  }
}

/** Null if one of those that lead, as others say, agrees; else why not. */
async function askLeaders(options: Asker, method: string, memberId: string): Promise<string | null> {
  const { bus, nodeId, clusterId, signal } = options;
  let refusal = "no leader of the cluster is in sight";
  for (const { leader, term } of leadersOf(bus.peers(), clusterId)) {
    if (leader === nodeId) continue;
    const body = encodeCbor([clusterId, memberId, term]);
    try {
      await bus.request(leader, method, body, { timeoutMs: ASK_TIMEOUT_MS, signal });
      return null;
    } catch (error) {
      if (!isTrivetError(error) || signal.aborted) throw error;
      refusal = `${leader.slice(0, 8)} does not agree yet: ${error.message}`;
    }
  }
  return refusal;
}

/** Who leads the cluster in which term, as those say that are up, the newest first; there may be old tales among them. */
export function leadersOf(
  peers: ReadonlyMap<string, Peer>,
  clusterId: string,
): readonly { readonly leader: string; readonly term: number }[] {
  const leaders = new Map<number, string>();
  for (const { up, presence } of peers.values()) {
    if (!up || presence?.clusterId !== clusterId) continue;
    const { leader, term } = presence.raft;
    // A term has one leader.
    if (leader !== null) leaders.set(term, leader);
  }
  return [...leaders].map(([term, leader]) => ({ leader, term })).sort((one, other) => other.term - one.term);
}

/** The ids under which a node belongs to the cluster: two while it is being replaced by itself. */
export function incarnationsOf(members: PresentMembers, nodeId: string): readonly string[] {
  return everyoneOf(members).filter((member) => nodeIdOf(member) === nodeId);
}

/** Each once. */
export function everyoneOf({ voters, outgoing, learners }: PresentMembers): readonly string[] {
  return [...new Set([...voters, ...outgoing, ...learners])];
}

function notMember(): TrivetError {
  return new TrivetError(
    "not-a-member",
    "The cluster has no member on this node, and this version cannot add members to a living cluster.",
  );
}
