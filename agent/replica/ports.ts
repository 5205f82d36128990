import type { Entry, HardState } from "../raft/types.ts";
import type { LogPosition } from "../store/types.ts";

/** The durable log, as the replica uses it. */
export interface ReplicaLog {
  /**
   * Resolves once the batch is durable, in the order of the calls. Rejects with `log-full` or `log-busy`: neither this one nor
   * those behind it were written, and they may be tried again. With anything else once and for all: the disk failed.
   *
   * `base`: before all else the entries up to it are forgotten; all entries, where the log does not hold it.
   */
  append(batch: {
    readonly base?: LogPosition | null;
    readonly hardState: HardState;
    readonly entries: readonly Entry[];
  }): Promise<void>;
  /** Forgets the entries up to `base`. Takes its place among the appends; rejects as they do. */
  compact(base: LogPosition): Promise<void>;
}

/** What is known of a request besides what it asks for. */
export interface RequestContext {
  /** On the monotonic clock: when the sender gives up. A copy that comes late on another path gets as much time as the first one. */
  readonly deadlineMs: number;
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** `request-timeout` sooner: once for so long nothing was heard, not even that the other node is at work. */
  readonly silenceMs?: number;
  /** Called with each word that it is. */
  readonly onWorking?: () => void;
}

/** The bus, as the replica uses it. */
export interface Transport {
  /** Best effort: the datagram may be lost, doubled, delayed or overtaken. Never blocks. False: no way there now. */
  send(toNode: string, kind: string, body: Uint8Array): boolean;
  onDatagram(kind: string, handler: (fromNode: string, body: Uint8Array) => void): () => void;
  /**
   * Rejects with `no-route` (not sent), `request-timeout`, `request-aborted` or `peer-down` (outcome unknown), or with
   * the code that the handler threw.
   */
  request(toNode: string, method: string, body: Uint8Array, options: RequestOptions): Promise<Uint8Array>;
  /**
   * A request comes at most once to one process, but another time, maybe much later, to one that has started since: what must not be done
   * twice has to be bound to something that ended with the first one, such as its term of leadership.
   */
  handle(
    method: string,
    handler: (fromNode: string, body: Uint8Array, context: RequestContext) => Promise<Uint8Array>,
  ): () => void;
}
