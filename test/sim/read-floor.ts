import type { ReadLevel } from "../../agent/replica/read-level.ts";
import type { ClusterWatch } from "./cluster-watch.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimProcess } from "./sim-process.ts";

/**
 * What a read sees at least, though it promises little. On each level: what its node has applied when it is asked. A weak one also all
 * that the leader knows to be committed then; that is certain where nobody else leads, or takes the lead, until the answer.
 */
export class ReadFloor {
  readonly #nodes: readonly SimNode[];
  readonly #watch: ClusterWatch;

  constructor(nodes: readonly SimNode[], watch: ClusterWatch) {
    this.#nodes = nodes;
    this.#watch = watch;
  }

  /** To be called when the read is asked. What it returns is to be called when it is answered, and tells the index. */
  at({ replica }: SimProcess, level: ReadLevel): () => number {
    const appliedIndex = replica?.status().appliedIndex ?? 0;
    if (level === "none") return () => appliedIndex;
    const leader = this.#onlyLeader();
    const commitIndex = leader?.replica?.raft.commitIndex ?? 0;
    const { elections } = this.#watch;
    return () => {
      const isCertain =
        leader !== null && this.#onlyLeader() === leader && this.#watch.elections === elections;
      return isCertain ? Math.max(appliedIndex, commitIndex) : appliedIndex;
    };
  }

  #onlyLeader(): SimProcess | null {
    const leaders = this.#nodes.flatMap(({ process }) => {
      return process?.replica?.leadership.isLeader === true ? [process] : [];
    });
    return leaders.length === 1 ? (leaders[0] ?? null) : null;
  }
}
