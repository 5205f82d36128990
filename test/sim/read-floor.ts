import type { ReadLevel } from "../../agent/replica/read-level.ts";
import type { ClusterWatch } from "./cluster-watch.ts";
import type { CopyWatch } from "./copy-watch.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimProcess } from "./sim-process.ts";
import { check } from "./violation.ts";

export interface ReadFloorOptions {
  readonly nodes: readonly SimNode[];
  readonly watch: ClusterWatch;
  readonly copies: CopyWatch;
}

const NOWHERE = { memberId: "", appliedIndex: 0, copyFault: null };

/**
 * What a read sees at least, though it promises little. On each level: what its node has applied when it is asked. A weak one also all
 * that the leader knows to be committed then; that is certain where nobody else leads, or takes the lead, until the answer. A
 * linearizable or strong one all that any leader had committed, whether anybody was told of it or not.
 */
export class ReadFloor {
  readonly #options: ReadFloorOptions;

  constructor(options: ReadFloorOptions) {
    this.#options = options;
  }

  /** To be called when the read is asked. What it returns is to be called when it is answered, and tells the index. */
  at({ replica }: SimProcess, level: ReadLevel): () => number {
    const { watch, copies } = this.#options;
    const { memberId, appliedIndex, copyFault } = replica?.status() ?? NOWHERE;
    const leader = level === "none" ? null : this.#onlyLeader();
    const commitIndex = leader?.replica?.raft.commitIndex ?? 0;
    const isLinearizable = level === "linearizable" || level === "strong";
    const promised = Math.max(appliedIndex, isLinearizable ? watch.countedIndex : 0);
    const { elections } = watch;
    const { changes } = copies;
    return () => {
      const isStillOut =
        copyFault !== null && replica?.copy.fault === copyFault && copies.changes === changes;
      check(!isStillOut, () => `${memberId} answered a read from a copy that is out of use: ${copyFault}`);
      const isCertain = leader !== null && this.#onlyLeader() === leader && watch.elections === elections;
      return isCertain ? Math.max(promised, commitIndex) : promised;
    };
  }

  #onlyLeader(): SimProcess | null {
    const leaders = this.#options.nodes.flatMap(({ process }) => {
      return process?.replica?.leadership.isLeader === true ? [process] : [];
    });
    return leaders.length === 1 ? (leaders[0] ?? null) : null;
  }
}
