import type { Peer } from "../bus/peer-table.ts";
import type { Logger } from "../platform/logger.ts";
import { isOfAnotherCluster } from "./status.ts";

/** Told once each; there are not many honest ones. */
const STRANGERS_MAX = 64;

/** Tells the log of other clusters that have the name of this one. */
export class Strangers {
  readonly #logger: Logger;
  /** Their ids. */
  readonly #told = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `clusterId`: of this node's cluster, null while it has none. */
  meet(peer: Peer, clusterId: string | null): void {
    const other = peer.presence?.clusterId;
    if (other == null || !isOfAnotherCluster(peer, clusterId) || this.#told.has(other)) return;
    if (this.#told.size >= STRANGERS_MAX) return;
    this.#told.add(other);
    const message = "Another cluster has the name of this one: give one of them another --cluster name.";
    this.#logger.log("warn", message, { node: peer.nodeId, cluster: other });
  }
}
