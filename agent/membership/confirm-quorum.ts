import type { Clock } from "../platform/clock.ts";
import { TrivetError } from "../platform/trivet-error.ts";
import { BARRIER } from "../replica/command-draft.ts";
import type { CopyCensus } from "../replica/copy-census.ts";
import { Deadline } from "../replica/deadline.ts";
import type { Leadership } from "../replica/leadership.ts";
import type { Proposer } from "../replica/proposer.ts";
import type { Replica } from "../replica/replica.ts";

export interface ConfirmingLeader {
  readonly replica: {
    readonly proposer: Pick<Proposer, "propose">;
    readonly leadership: Pick<Leadership, "isLeader">;
    readonly raft: Pick<Replica["raft"], "term" | "configuration" | "configurationIndex">;
  };
  readonly census: Pick<CopyCensus, "isHeldByQuorum">;
  readonly clock: Clock;
}

/**
 * Resolves once a quorum without this node holds all that was committed when it was called: a new entry is committed, and so is
 * everything before it; and the others say after that that they hold everything up to there.
 *
 * The quorum is one of a configuration that is committed. One that is not may be taken back: by the one before it, which is in force
 * again then, they could be too few (simulator seed 696).
 *
 * Rejects with `no-quorum`, at the latest after `timeoutMs`; with `change-pending`; and as `Proposer.propose` does.
 */
export async function confirmQuorum(
  { replica, census, clock }: ConfirmingLeader,
  withoutNode: string,
  timeoutMs: number,
): Promise<void> {
  const deadline = new Deadline(clock, timeoutMs);
  const { position } = await deadline.race(replica.proposer.propose(BARRIER, deadline), noQuorum);
  const { raft, leadership } = replica;
  const { configuration, configurationIndex } = raft;
  if (configurationIndex > position.index) throw changePending();
  const count = { configuration, position, withoutNode, timeoutMs: deadline.remainingMs };
  if (!(await census.isHeldByQuorum(count))) throw noQuorum();
  // Only who leads still knows what is in force.
  if (!leadership.isLeader || raft.term !== position.term) throw noQuorum();
  if (raft.configurationIndex !== configurationIndex) throw changePending();
}

function noQuorum(): TrivetError {
  return new TrivetError("no-quorum", "The leader finds no quorum of the others that holds the data.");
}

function changePending(): TrivetError {
  return new TrivetError(
    "change-pending",
    "The members are being changed: whether it holds is asked again then.",
  );
}
