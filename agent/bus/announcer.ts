import type { Clock, Timer } from "../platform/clock.ts";
import { encodePresence, type PresenceBody, withSeenAddress } from "./presence.ts";

/**
 * This node's own presence: holds the newest, numbers its revisions, and decides when a change is worth a
 * publication. A commit index that moves all the time is told now and then; everything else at once, but not more
 * often than the interval.
 */
export class Announcer {
  readonly #identity: { readonly nodeId: string; readonly session: number };
  readonly #limits: { readonly presenceIntervalMs: number; readonly presenceCommitIntervalMs: number };
  readonly #clock: Clock;
  readonly #publish: () => void;
  #body: PresenceBody | null = null;
  #published = { key: "", commit: -1, atMs: Number.NEGATIVE_INFINITY };
  #revision = 0;
  #timer: Timer | null = null;
  #dueMs = 0;

  /** `publish` puts `message("up")` on every hub. */
  constructor(
    identity: { readonly nodeId: string; readonly session: number },
    limits: { readonly presenceIntervalMs: number; readonly presenceCommitIntervalMs: number },
    clock: Clock,
    publish: () => void,
  ) {
    this.#identity = identity;
    this.#limits = limits;
    this.#clock = clock;
    this.#publish = publish;
  }

  get announced(): boolean {
    return this.#body !== null;
  }

  announce(body: PresenceBody): void {
    this.#body = body;
    const key = keyOf(body);
    if (key !== this.#published.key) this.#schedule(this.#limits.presenceIntervalMs);
    else if (body.raft.commit !== this.#published.commit)
      this.#schedule(this.#limits.presenceCommitIntervalMs);
  }

  /** A hub lost or contradicts what we announced: publish again, within the rate. */
  repeat(): void {
    if (this.#body !== null) this.#schedule(this.#limits.presenceIntervalMs);
  }

  /** The payload for a hub that sees us at `localAddress`. */
  message(state: "up" | "down", localAddress: string | null): Buffer {
    const body = this.#body === null ? null : withSeenAddress(this.#body, localAddress);
    return encodePresence({ ...this.#identity, revision: this.#revision, up: state === "up", body });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(intervalMs: number): void {
    const nowMs = this.#clock.nowMs();
    const dueMs = Math.max(nowMs, this.#published.atMs + intervalMs);
    if (this.#timer !== null && this.#dueMs <= dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    if (dueMs > nowMs) this.#timer = this.#clock.setTimer(dueMs - nowMs, () => this.#run());
    else this.#run();
  }

  #run(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#body === null) return;
    const key = keyOf(this.#body);
    const { commit } = this.#body.raft;
    // What is only repeated is no news.
    if (key !== this.#published.key || commit !== this.#published.commit) this.#revision += 1;
    this.#published = { key, commit, atMs: this.#clock.nowMs() };
    this.#publish();
  }
}

/** Equal for bodies that differ in the commit index only. */
function keyOf(body: PresenceBody): string {
  return JSON.stringify({ ...body, raft: { ...body.raft, commit: 0 } });
}
