/** All in milliseconds. */
export interface Timing {
  readonly heartbeatMs: number;
  /** T: an election timeout is drawn from [T, 2T). */
  readonly electionMs: number;
  /** What measurement may raise T to. */
  readonly electionMaxMs: number;
}

/** T is at least this many round trips, and this many writes to the disk (design 4). */
const ELECTION_PER_MEASURED = 10;

/**
 * T grows by no more than this from one heartbeat to the next. The heartbeat's interval grows with it, and a follower
 * that missed the news still waits by the old T: so it may miss three in a row before it loses patience.
 */
const GROWTH_MAX = 1.25;

/** Of the last writes, the median counts: a card that stalls once does not slow the cluster down for long. */
const WRITES_KEPT = 15;

/**
 * How long to wait, as far as the configuration allows and the network and the disk need.
 *
 *     T in force = max(configured, 10 x round trip, 10 x write, announced by the leader), at most electionMaxMs
 *
 * The heartbeat's interval is in proportion.
 */
export class Pace {
  readonly #configured: Timing;
  readonly #writesMs: number[] = [];
  #announcedMs = 0;
  #timing: Timing;

  constructor(configured: Timing) {
    this.#configured = configured;
    this.#timing = configured;
  }

  /** In force. */
  get timing(): Timing {
    return this.#timing;
  }

  /** A write has taken `ms`, from when it was handed out until it was durable. */
  wrote(ms: number): void {
    this.#writesMs.push(ms);
    if (this.#writesMs.length > WRITES_KEPT) this.#writesMs.shift();
  }

  /** The leader says what it measures. */
  follow(announcedMs: number): void {
    this.#announcedMs = announcedMs;
    this.#set(this.#limit(this.#neededMs(this.#announcedMs)));
  }

  /** Before this member, which leads, sends heartbeats. `rttMs`: to its quorum, null if that is not known. */
  lead(rttMs: number | null): void {
    const { electionMs } = this.#timing;
    const neededMs = this.#neededMs(rttMs === null ? electionMs : ELECTION_PER_MEASURED * rttMs);
    this.#set(this.#limit(Math.min(neededMs, electionMs * GROWTH_MAX)));
  }

  #neededMs(otherMs: number): number {
    return Math.max(this.#configured.electionMs, ELECTION_PER_MEASURED * median(this.#writesMs), otherMs);
  }

  #limit(electionMs: number): number {
    return Math.max(this.#configured.electionMs, Math.min(electionMs, this.#configured.electionMaxMs));
  }

  #set(electionMs: number): void {
    const { heartbeatMs, electionMs: configuredMs } = this.#configured;
    this.#timing = {
      ...this.#configured,
      electionMs,
      heartbeatMs: heartbeatMs * (electionMs / configuredMs),
    };
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
