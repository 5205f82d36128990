import { invariant } from "../platform/invariant.ts";
import type { Core } from "./core.ts";
import { Progress, type ProgressState } from "./progress.ts";
import { hasQuorum, membersOf, quorumWatermark } from "./quorum.ts";
import type { MemberId } from "./types.ts";

/** What a leader knows of a peer, for status and for those who choose voters. */
export interface PeerStatus {
  readonly member: MemberId;
  /** Everything up to here is durable there. */
  readonly match: number;
  readonly next: number;
  readonly state: ProgressState;
  /** It has answered within the last election timeout. */
  readonly isActive: boolean;
  readonly rttMs: number | null;
}

/**
 * Everyone who gets the log from a leader, itself included, and what a majority of them has reached.
 *
 * Who is left out by a configuration still gets the log for a while, so that it learns that it is out. It counts for nothing.
 */
export class Peers {
  readonly #core: Core;
  readonly #progress = new Map<MemberId, Progress>();
  /** With the index of the entry that left them out, and once that is committed, when they are forgotten. */
  readonly #departing = new Map<MemberId, { readonly index: number; readonly untilMs: number | null }>();

  constructor(core: Core) {
    this.#core = core;
    this.#add(core.id, core.log.lastIndex + 1);
    for (const member of membersOf(core.configuration)) this.#add(member, core.log.lastIndex + 1);
  }

  /** To be called when another configuration is in force. */
  followConfiguration(): void {
    const { configuration, configurationIndex, id } = this.#core;
    const members = membersOf(configuration);
    for (const member of members) {
      this.#departing.delete(member);
      this.#add(member, configurationIndex);
    }
    for (const member of this.#progress.keys()) {
      if (member === id || members.has(member) || this.#departing.has(member)) continue;
      this.#departing.set(member, { index: configurationIndex, untilMs: null });
    }
  }

  /** Forgets those that have been out for long enough to know. */
  forgetDeparted(): void {
    const { commit, nowMs, timing } = this.#core;
    for (const [member, { index, untilMs }] of this.#departing) {
      if (commit < index) continue;
      if (untilMs === null) this.#departing.set(member, { index, untilMs: nowMs + 2 * timing.electionMs });
      else if (nowMs >= untilMs) {
        this.#departing.delete(member);
        this.#progress.delete(member);
      }
    }
  }

  /** Everyone but this member. */
  *others(): Generator<readonly [MemberId, Progress]> {
    for (const peer of this.#progress) if (peer[0] !== this.#core.id) yield peer;
  }

  /** Undefined if it does not get the log from here. */
  find(member: MemberId): Progress | undefined {
    return this.#progress.get(member);
  }

  of(member: MemberId): Progress {
    const progress = this.#progress.get(member);
    invariant(progress !== undefined, `the leader keeps no progress of ${member}`);
    return progress;
  }

  /** A quorum holds everything up to here, durably. */
  quorumMatch(): number {
    return quorumWatermark(this.#core.configuration, (voter) => this.of(voter).match);
  }

  /** A quorum has confirmed the read rounds up to here; `own` is the newest one. */
  quorumReadContext(own: number): number {
    return quorumWatermark(this.#core.configuration, (voter) =>
      voter === this.#core.id ? own : this.of(voter).readContext,
    );
  }

  hearsQuorum(): boolean {
    return hasQuorum(this.#core.configuration, (voter) => voter === this.#core.id || this.isActive(voter));
  }

  /** The round trip within which a quorum answers; null if it is not known. Who is slower than that delays nobody. */
  quorumRttMs(): number | null {
    const slownessMs = -quorumWatermark(this.#core.configuration, (voter) => {
      if (voter === this.#core.id) return 0;
      const { rttMs } = this.of(voter);
      return rttMs === null || !this.isActive(voter) ? Number.NEGATIVE_INFINITY : -rttMs;
    });
    return Number.isFinite(slownessMs) ? slownessMs : null;
  }

  /** It has answered within the last election timeout. */
  isActive(member: MemberId): boolean {
    const { nowMs, timing } = this.#core;
    return nowMs - this.of(member).heardMs <= timing.electionMs;
  }

  /** Other voters of the coming configuration, the one that is best suited to lead first. */
  successors(): readonly MemberId[] {
    const { configuration, id } = this.#core;
    const rank = (voter: MemberId) => (this.isActive(voter) ? this.of(voter).match : -1);
    return configuration.voters.filter((voter) => voter !== id).sort((a, b) => rank(b) - rank(a));
  }

  status(): readonly PeerStatus[] {
    return [...this.others()]
      .filter(([member]) => !this.#departing.has(member))
      .map(([member, { match, next, state, rttMs }]) => {
        return { member, match, next, state, rttMs, isActive: this.isActive(member) };
      });
  }

  #add(member: MemberId, next: number): void {
    if (this.#progress.has(member)) return;
    this.#progress.set(member, new Progress({ next, nowMs: this.#core.nowMs, limits: this.#core.limits }));
  }
}
