import { TrivetError } from "../platform/trivet-error.ts";
import type { CommandResult, LogPosition } from "../store/types.ts";

/** What a command answered, and where it stands in the log. */
export interface Applied {
  readonly position: LogPosition;
  readonly result: CommandResult;
}

interface Proposal {
  readonly term: number;
  readonly resolve: (applied: Applied) => void;
  readonly reject: (error: TrivetError) => void;
}

/**
 * Commands of this leader that wait to be applied, by index. What stands at an index once it is applied decides: the
 * proposal's own term there means that it happened, another term that it never will.
 */
export class Proposals {
  readonly #waiting = new Map<number, Proposal>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with what the command answered. Rejects with `not-leader` if it certainly never happens. */
  wait(index: number, term: number): Promise<Applied> {
    return new Promise((resolve, reject) => {
      // Only a newer term puts another proposal at this index: then the older one was cut from the log.
      this.#waiting.get(index)?.reject(replaced(index));
      this.#waiting.set(index, { term, resolve, reject });
    });
  }

  applied(index: number, term: number, result: CommandResult): void {
    const proposal = this.#waiting.get(index);
    if (proposal === undefined) return;
    this.#waiting.delete(index);
    if (proposal.term === term) proposal.resolve({ position: { index, term }, result });
    else proposal.reject(replaced(index));
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
    `Entry ${index} was replaced by a newer leader's: the write did not happen. Send it again.`,
  );
}
