import type { Core } from "./core.ts";
import type { Peers } from "./peers.ts";
import type { MemberId } from "./types.ts";

/**
 * A leader hands its leadership to another voter (Raft thesis 3.10): it takes no more proposals until that one has the
 * whole log, and then tells it to campaign at once.
 *
 * Without success after an election timeout the leader goes on, unless it may not (it was voted out, its disk hangs).
 */
export class Handover {
  readonly #core: Core;
  readonly #peers: Peers;
  #target: { readonly to: MemberId; readonly endMs: number } | null = null;
  #isFinal = false;

  constructor(core: Core, peers: Peers) {
    this.#core = core;
    this.#peers = peers;
  }

  get isOn(): boolean {
    return this.#target !== null;
  }

  /** It ends this leadership, whether anyone takes it or not. */
  get isFinal(): boolean {
    return this.#isFinal;
  }

  /** There is another voter, and none is being handed over to. */
  get canBegin(): boolean {
    const { configuration, id } = this.#core;
    return !this.isOn && configuration.voters.some((voter) => voter !== id);
  }

  get deadlineMs(): number {
    return this.#target?.endMs ?? Number.POSITIVE_INFINITY;
  }

  /**
   * To `to`, or the best voter, of the newest configuration. False if there is no such voter. One that is under way may get
   * another target, but no more time: who asks again and again must not keep the leader from its work.
   */
  begin(to: MemberId | null): boolean {
    const successors = this.#peers.successors();
    const target = to ?? successors[0];
    if (target === undefined || !successors.includes(target)) return false;
    const endMs = this.#target?.endMs ?? this.#core.nowMs + this.#core.timing.electionMs;
    this.#target = { to: target, endMs };
    this.maybeFinish(target);
    return true;
  }

  /** Likewise, and there is no way back. One that is under way goes on. False if there is no other voter. */
  beginFinal(): boolean {
    this.#isFinal = this.isOn || this.begin(null);
    return this.#isFinal;
  }

  cancel(): void {
    this.#target = null;
  }

  /** `from` was heard. Once it has the whole log it is told, and again with each answer: the word may be lost. */
  maybeFinish(from: MemberId): void {
    if (this.#target?.to !== from) return;
    const { id, term, log, outbox } = this.#core;
    if (this.#peers.of(from).match < log.lastIndex) return;
    outbox.send({ kind: "timeout-now", from: id, to: from, term });
  }
}
