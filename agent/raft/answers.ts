import type { Core } from "./core.ts";
import type { Message, PreVoteRequest, VoteRequest } from "./messages.ts";

/** Answers that depend on no role. */

/**
 * Raft 5.2 and 5.4.1. Also given by members that do not know yet that they, or the candidate, may vote: it is the candidate's
 * configuration that counts, and its log would have brought them the same.
 *
 * True if the vote was given, which is a promise; to a pre-vote nothing is promised, and a later request is judged anew.
 */
export function answerVoteRequest(
  core: Core,
  request: PreVoteRequest | VoteRequest,
  hasLeader: boolean,
): boolean {
  const { from: to } = request;
  const isFree = core.vote === to || (core.vote === null && !hasLeader);
  const isComplete = core.log.isCoveredBy(request.lastTerm, request.lastIndex);
  if (request.kind === "pre-vote-request") {
    const granted = (request.term > core.term || isFree) && isComplete;
    // A refusal carries the own term.
    const term = granted ? request.term : core.term;
    core.outbox.sendAfterHardState({ kind: "pre-vote-response", from: core.id, to, term, granted });
    return false;
  }
  const granted = isFree && isComplete;
  if (granted) core.voteFor(to);
  core.outbox.sendAfterHardState({ kind: "vote-response", from: core.id, to, term: core.term, granted });
  return granted;
}

/** The sender of `message` is behind. It hears of the present term if it would go on in vain otherwise. */
export function answerLowerTerm({ id, term, outbox }: Core, message: Message): void {
  const answer = { from: id, to: message.from, term } as const;
  switch (message.kind) {
    case "append-request":
    case "snapshot-request":
      // A leader that was cut off must learn that it is deposed, or it would never let this member follow.
      outbox.sendAfterHardState({
        ...answer,
        kind: "append-response",
        index: 0,
        hint: { index: 0, term: 0 },
      });
      return;
    case "heartbeat-request":
      outbox.sendAfterHardState({ ...answer, kind: "heartbeat-response", readContext: 0, sentMs: 0 });
      return;
    case "pre-vote-request":
      outbox.sendAfterHardState({ ...answer, kind: "pre-vote-response", granted: false });
      return;
    default:
  }
}
