import { invariant } from "../platform/invariant.ts";
import type { Core } from "./core.ts";
import { entryBytes } from "./entry-log.ts";
import type { Peers } from "./peers.ts";
import type { Progress } from "./progress.ts";
import type { MemberId } from "./types.ts";

/** What a leader sends to its peers by itself: entries, heartbeats, and the word that a snapshot is needed. */
export class Replicator {
  readonly #core: Core;
  readonly #peers: Peers;

  constructor(core: Core, peers: Peers) {
    this.#core = core;
    this.#peers = peers;
  }

  /** To everyone what it lacks, as far as its window allows. */
  sendEntries(): void {
    for (const [to, progress] of this.#peers.others()) {
      while (progress.next <= this.#core.log.lastIndex && progress.canSend) this.#send(to, progress);
    }
  }

  sendHeartbeats(readContext: number): void {
    const { id, term, commit, outbox, nowMs, pace } = this.#core;
    pace.lead(this.#peers.quorumRttMs());
    const header = { kind: "heartbeat-request", from: id, term, readContext } as const;
    const [sentMs, electionMs] = [Math.floor(nowMs), Math.ceil(pace.timing.electionMs)];
    for (const [to, { match }] of this.#peers.others()) {
      outbox.send({ ...header, to, commit: Math.min(commit, match), sentMs, electionMs });
    }
  }

  /**
   * `to` answers but is behind: what it was sent may have been lost, and is noticed only now. Asks it whether the logs
   * agree. But not with every answer: reads bring many of them, and a follower with a slow disk is not to be flooded.
   */
  maybeRetry(to: MemberId, progress: Progress): void {
    const { log, nowMs, timing } = this.#core;
    if (progress.match >= log.lastIndex || !progress.maybeRetry(nowMs, timing.heartbeatMs / 2)) return;
    if (progress.state === "snapshot") this.#sendSnapshotRequest(to);
    else this.#send(to, progress);
  }

  #send(to: MemberId, progress: Progress): void {
    const { log, term, commit, id, outbox, limits } = this.#core;
    const previousIndex = progress.next - 1;
    if (previousIndex < log.base.index) {
      // mark: raft: a follower needs entries that the log has forgotten
      progress.becomeSnapshot();
      this.#sendSnapshotRequest(to);
      return;
    }
    const previousTerm = log.term(previousIndex);
    invariant(previousTerm !== undefined, `${to} is to get entry ${progress.next}, beyond the log`);
    const entries = progress.canSend ? log.slice(progress.next, log.lastIndex, limits.appendBytesMax) : [];
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    progress.sent(previousIndex + entries.length, bytes);
    const kind = "append-request";
    outbox.send({ kind, from: id, to, term, previousIndex, previousTerm, entries, commit });
  }

  #sendSnapshotRequest(to: MemberId): void {
    const { id, term, log, outbox } = this.#core;
    const { index: baseIndex, term: baseTerm } = log.base;
    outbox.send({ kind: "snapshot-request", from: id, to, term, baseIndex, baseTerm });
  }
}
