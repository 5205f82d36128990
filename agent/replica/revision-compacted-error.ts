import { TrivetError } from "../platform/trivet-error.ts";

/** A watch asked for changes that are not kept any more. */
export class RevisionCompactedError extends TrivetError {
  /** The oldest revision that a watch may begin from. */
  readonly oldest: number;

  constructor(revision: number, oldest: number) {
    super(
      "revision-compacted",
      `The changes after revision ${revision} are not kept any more, only those after ${oldest}: list the objects, then watch from the revision of the list.`,
    );
    this.oldest = oldest;
  }
}
