import { TrivetError } from "../platform/trivet-error.ts";
import type { CommandResult, LogPosition } from "../store/types.ts";
import { outcomeUnknown } from "./sql-errors.ts";

/** What a command answered, and where it stands in the log. */
export interface Applied {
  readonly position: LogPosition;
  readonly result: CommandResult;
}

interface Proposal {
  readonly index: number;
  readonly term: number;
  readonly resolve: (applied: Applied) => void;
  readonly reject: (error: TrivetError) => void;
}

/**
 * Commands of this leader that wait to be applied. Only what is applied decides over them:
 *
 *     applied (j, T)    the proposal (j, T) happened
 *                       one of a lower term at j or behind never will: terms do not fall along a log (Raft 5.3)
 *
 * That an entry was cut from this member's own log decides nothing: another member may hold it, win an election and commit
 * it after all (Raft figure 8).
 */
export class Proposals {
  /** In the order of their positions: a leader appends, and a later term of leadership follows an earlier one. */
  readonly #waiting = new Map<string, Proposal>();
  #appliedTerm = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with what the command answered. Rejects with `not-leader` if it certainly never happens. */
  wait(index: number, term: number): Promise<Applied> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(keyOf(index, term), { index, term, resolve, reject });
    });
  }

  /** To be called for every entry, in order. */
  applied(index: number, term: number, result: CommandResult): void {
    const key = keyOf(index, term);
    const proposal = this.#waiting.get(key);
    this.#waiting.delete(key);
    proposal?.resolve({ position: { index, term }, result });
    if (term === this.#appliedTerm) return;
    this.#appliedTerm = term;
    for (const [other, { index: otherIndex, term: otherTerm, reject }] of this.#waiting) {
      if (otherTerm >= term) continue;
      this.#waiting.delete(other);
      reject(replaced(otherIndex));
    }
  }

  /**
   * The state up to `position` came from another member. What stands at or before it happened or did not, and its answer is lost;
   * what is of a lower term behind it never will.
   */
  restored(position: LogPosition): void {
    for (const [key, { index, term, reject }] of this.#waiting) {
      if (index > position.index && term >= position.term) continue;
      this.#waiting.delete(key);
      // mark: replica: the answer to a proposal was skipped by a snapshot
      reject(index > position.index ? replaced(index) : outcomeUnknown());
    }
  }

  /** The owner stops: nobody will learn what became of them. */
  fail(error: TrivetError): void {
    for (const proposal of this.#waiting.values()) proposal.reject(error);
    this.#waiting.clear();
  }
}

function replaced(index: number): TrivetError {
  return new TrivetError(
    "not-leader",
    `Entry ${index} lost against a newer leader's: the write did not happen. Send it again.`,
  );
}

function keyOf(index: number, term: number): string {
  return `${index} ${term}`;
}
