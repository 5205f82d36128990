/** How a way to a node does. */
export type PathState =
  /** Something sent there was confirmed a moment ago. */
  | "proven"
  /** Nothing is known against it. */
  | "untried"
  /** What was sent there is overdue for confirmation. */
  | "silent"
  /** Silent, and worth another try: it may have come back. */
  | "due";

interface PathRecord {
  /** When the first datagram left that nothing has confirmed yet; null if none is out. */
  unconfirmedMs: number | null;
  sentMs: number;
  confirmedMs: number;
  /** How long confirmations took at most, lately. */
  slowestMs: number;
}

/** How much of the slowest confirmation is forgotten with each new one. */
const FORGET = 0.1;
/** How much slower than any lately a confirmation may come. */
const PATIENCE = 2;

/**
 * Which ways to which nodes work, as the nodes themselves confirm it: a connection may stay open for many seconds
 * after the network stopped to carry what is sent on it. A path is the number of a hub, as this node counts them.
 *
 * A receiver tells on which paths it heard something, not what: that a way carries anything is what counts. So a
 * busy way that makes progress is never silent, however long its queue.
 */
export class PathHealth {
  readonly #limits: {
    readonly silenceMs: number;
    readonly silenceMsMax: number;
    readonly probeMs: number;
  };
  readonly #nodes = new Map<string, Map<number, PathRecord>>();

  constructor(limits: {
    readonly silenceMs: number;
    readonly silenceMsMax: number;
    readonly probeMs: number;
  }) {
    this.#limits = limits;
  }

  state(nodeId: string, path: number, nowMs: number): PathState {
    const record = this.#nodes.get(nodeId)?.get(path);
    if (record === undefined) return "untried";
    if (this.#isSilent(record, nowMs))
      return nowMs - record.sentMs >= this.#limits.probeMs ? "due" : "silent";
    return nowMs - record.confirmedMs < this.#limits.probeMs ? "proven" : "untried";
  }

  /** When something was last sent there; never is long ago. */
  sentMs(nodeId: string, path: number): number {
    return this.#nodes.get(nodeId)?.get(path)?.sentMs ?? Number.NEGATIVE_INFINITY;
  }

  /** A datagram that the node confirms left on this path. */
  sent(nodeId: string, path: number, nowMs: number): void {
    const paths = this.#nodes.get(nodeId) ?? new Map<number, PathRecord>();
    this.#nodes.set(nodeId, paths);
    const record = paths.get(path);
    if (record === undefined) {
      const confirmedMs = Number.NEGATIVE_INFINITY;
      paths.set(path, { unconfirmedMs: nowMs, sentMs: nowMs, confirmedMs, slowestMs: 0 });
    } else {
      record.unconfirmedMs ??= nowMs;
      record.sentMs = nowMs;
    }
  }

  /** The node says on which paths it heard us. */
  confirmed(nodeId: string, paths: readonly number[], nowMs: number): void {
    for (const path of paths) {
      const record = this.#nodes.get(nodeId)?.get(path);
      if (record === undefined || record.unconfirmedMs === null) continue;
      // An outage is no measure of how long confirmations take: the last try is.
      const tookMs = nowMs - (this.#isSilent(record, nowMs) ? record.sentMs : record.unconfirmedMs);
      record.slowestMs = Math.max(tookMs, record.slowestMs * (1 - FORGET));
      record.unconfirmedMs = null;
      record.confirmedMs = nowMs;
    }
  }

  /** The hub is not connected (any more): what comes next is another connection. */
  forgetPath(path: number): void {
    for (const paths of this.#nodes.values()) paths.delete(path);
  }

  forgetNode(nodeId: string): void {
    this.#nodes.delete(nodeId);
  }

  #isSilent({ unconfirmedMs, slowestMs }: PathRecord, nowMs: number): boolean {
    const { silenceMs, silenceMsMax } = this.#limits;
    const patienceMs = Math.min(Math.max(silenceMs, PATIENCE * slowestMs), silenceMsMax);
    return unconfirmedMs !== null && nowMs - unconfirmedMs > patienceMs;
  }
}
